// Package freeport chooses ports for programs that a test or a benchmark starts.
package freeport

import (
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
)

// The ports lie below those that systems take for outgoing connections.
const first, count = 20_000, 12_000

// block is how many ports a process has before it meets those of another one.
const block = 100

var (
	mu    sync.Mutex
	tried int
)

// Next returns a port of 127.0.0.1 that nobody listens on. A process gets no port twice, also
// when the program that has it is stopped for a while, and processes begin at different ones. It
// is safe for concurrent use.
func Next() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	for ; tried < count; tried++ {
		port := first + (os.Getpid()*block+tried)%count
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			tried++
			return port, l.Close()
		}
	}
	return 0, errors.New("no port of 127.0.0.1 from 20000 to 31999 is left for this process")
}
