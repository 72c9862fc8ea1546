package streamread

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"
)

// Handle is one stream, looked up once per connection: a looked-up stream works only with its
// connection. The state of the stream is that of the look-up. The zero value is ready; it is
// safe for concurrent use.
type Handle struct {
	mu     sync.Mutex
	conn   *nats.Conn
	stream *Stream
}

// Open returns the stream; js and name must always be the same.
func (h *Handle) Open(ctx context.Context, js Streams, name string) (*Stream, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	conn := js.Conn()
	if h.stream != nil && h.conn == conn {
		return h.stream, nil
	}
	stream, err := Open(ctx, js, name)
	if err != nil {
		return nil, err
	}
	h.conn, h.stream = conn, stream
	return stream, nil
}
