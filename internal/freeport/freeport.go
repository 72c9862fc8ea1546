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

// block is how many ports a process takes at once.
const block = 100

var (
	mu    sync.Mutex
	held  []net.Listener // of the first port of each block that is ours, until the process ends
	ports []int          // not given away yet
)

// Next returns a port of 127.0.0.1 that nobody listens on. No port comes twice, also when the
// program that has it is stopped for a while, nor in another process that calls Next meanwhile. It
// is safe for concurrent use.
func Next() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	for tried := 0; ; {
		for len(ports) > 0 {
			port := ports[0]
			ports = ports[1:]
			if l, err := listen(port); err == nil {
				return port, l.Close()
			}
		}
		if tried == count/block {
			return 0, errors.New("no port of 127.0.0.1 from 20000 to 31999 is left for this process")
		}
		tried += take(count/block - tried)
	}
}

// take takes the next block that no other process holds, and returns how many it has tried.
func take(most int) int {
	for i := range most {
		start := first + (os.Getpid()+len(held)+i)%(count/block)*block
		l, err := listen(start)
		if err != nil {
			continue
		}
		held = append(held, l)
		for port := start + 1; port < start+block; port++ {
			ports = append(ports, port)
		}
		return i + 1
	}
	return most
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}
