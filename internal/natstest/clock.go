package natstest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Times in what a server sends, and in what clients ask of it. No moved time changes its length.
var (
	toldTimes  = regexp.MustCompile(`"(?:ts|created|first_ts|last_ts|last_active|time|pause_until|opt_start_time)":\s?"[^"]+"|Nats-Time-Stamp: \S+`)
	askedTimes = regexp.MustCompile(`"(?:pause_until|opt_start_time|start_time)":\s?"[^"]+"|Nats-Schedule: @at \S+`)
	isTime     = regexp.MustCompile(`[1-9]\d{3}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d)`)
	ackTime    = regexp.MustCompile(`(\$JS\.ACK\.\S+\.)(\d{19})(\.\d+)`)
)

// OtherClock has clients of a running server see it with a clock that is ahead by so many whole
// seconds, or behind if less than zero, and returns its address. Clients in this process keep
// their clock.
func (x *External) OtherClock(ahead time.Duration) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(x.t, err)
	c := &clockProxy{t: x.t, target: strings.TrimPrefix(x.URL(), "nats://"), ahead: ahead}
	c.done.Go(func() { c.accept(l) })
	x.t.Cleanup(func() {
		_ = l.Close()
		c.mu.Lock()
		for _, conn := range c.conns {
			_ = conn.Close()
		}
		c.mu.Unlock()
		c.done.Wait()
	})
	return "nats://" + l.Addr().String()
}

type clockProxy struct {
	t      testing.TB
	target string
	ahead  time.Duration

	done  sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
}

func (c *clockProxy) accept(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", c.target) //nolint:noctx // it is on this machine
		if err != nil {
			_ = in.Close()
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, in, out)
		c.mu.Unlock()
		c.done.Go(func() { c.move(in, out, askedTimes, -c.ahead) })
		c.done.Go(func() { c.move(out, in, toldTimes, c.ahead) })
	}
}

// move copies the protocol of NATS until one side is gone.
func (c *clockProxy) move(from, to net.Conn, times *regexp.Regexp, by time.Duration) {
	defer func() { _, _ = from.Close(), to.Close() }()
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		var payload []byte
		words := strings.Fields(line)
		if verb := strings.ToUpper(words[0]); verb == "MSG" || verb == "HMSG" || verb == "PUB" || verb == "HPUB" {
			size, err := strconv.Atoi(words[len(words)-1])
			if err != nil {
				return
			}
			payload = make([]byte, size+len("\r\n"))
			if _, err := io.ReadFull(in, payload); err != nil {
				return
			}
		}
		line = ackTime.ReplaceAllStringFunc(line, func(s string) string { return movedAck(s, by) })
		payload = times.ReplaceAllFunc(payload, func(b []byte) []byte {
			return isTime.ReplaceAllFunc(b, func(b []byte) []byte { return []byte(movedTime(string(b), by)) })
		})
		if _, err := fmt.Fprintf(to, "%s%s", line, payload); err != nil {
			return
		}
	}
}

func movedAck(subject string, by time.Duration) string {
	parts := ackTime.FindStringSubmatch(subject)
	at, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return subject
	}
	return parts[1] + strconv.FormatInt(at+int64(by), 10) + parts[3]
}

func movedTime(text string, by time.Duration) string {
	at, err := time.Parse(time.RFC3339Nano, text)
	if moved := at.Add(by).Format(time.RFC3339Nano); err == nil && len(moved) == len(text) {
		return moved
	}
	return text
}
