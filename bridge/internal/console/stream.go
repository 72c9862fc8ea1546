package console

import (
	"context"
	"errors"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/eventstream"
)

const (
	// writeTime is the default of [Console.writeTime].
	writeTime = 10 * time.Second
	// quiet is after how long a stream shows that it is alive.
	quiet = 10 * time.Second
	// maxLine bounds a line of a stream of the API, in bytes.
	maxLine = 1 << 20
)

// stream is a live part of a page: a stream of the API, whose events become rows.
type stream struct {
	// path is that of the API, below its prefix.
	path string
	// params are those of the page's query that the API takes too.
	params []string
	// rows returns what makes the rows of one browser: row returns the HTML of an event of the
	// API; empty is none. It is called for every event, and for an empty one when nothing has
	// come for some seconds.
	rows func() (row func(e eventstream.Event) (template.HTML, error))
}

// stream returns the handler of a live part. It ends with the stream of the API, which goes on
// behind the last row when the browser comes again.
func (c *Console) stream(s stream) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet { // the answer to HEAD would never end
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "A stream can only be read.", http.StatusMethodNotAllowed)
			return
		}
		v := c.visit(r)
		query := url.Values{}
		for _, name := range s.params {
			if value := r.URL.Query().Get(name); value != "" {
				query.Set(name, value)
			}
		}
		// The server's limit is for requests that end: all that can still come is that the
		// browser goes away.
		if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
			c.fail(w, v, err)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		path := s.path
		if len(query) > 0 {
			path += "?" + query.Encode()
		}
		req, err := v.apiRequest(ctx, http.MethodGet, path, nil)
		if err != nil {
			c.fail(w, v, err)
			return
		}
		if id := r.Header.Get("Last-Event-ID"); id != "" {
			req.Header.Set("Last-Event-ID", id)
		}
		in, out := io.Pipe()
		api := &streamed{answer: answer{header: http.Header{}}, out: out}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.api.ServeHTTP(api, req)
			_ = out.Close()
		}()
		err = s.copy(w, in, c.writeTime)
		_ = in.CloseWithError(io.ErrClosedPipe) // the API notices at its next row
		cancel()
		<-ended
		if api.status != 0 && api.status != http.StatusOK && !errors.Is(err, errBegun) {
			p := api.problem()
			if p.RetryAfter != "" {
				w.Header().Set("Retry-After", p.RetryAfter)
			}
			http.Error(w, p.Error(), p.Status)
		}
	})
}

// errBegun means that the browser has the beginning of a stream.
var errBegun = errors.New("the stream has begun")

// copy writes the rows of a stream until it ends or the browser does not read what it was sent
// within a time.
func (s stream) copy(w http.ResponseWriter, in io.Reader, within time.Duration) error {
	out := rowWriter{w: w, control: http.NewResponseController(w), within: within, row: s.rows()}
	var failed error
	// The API shows at once, and every 15 s, that its stream is alive; so does this one.
	alive := func() {
		if failed == nil && time.Since(out.wrote) > quiet {
			failed = out.write(eventstream.Event{})
		}
	}
	err := eventstream.Read(in, maxLine, alive, func(e eventstream.Event) error {
		if failed != nil {
			return failed
		}
		return out.write(e)
	})
	if !out.wrote.IsZero() {
		err = errors.Join(errBegun, err)
	}
	return err
}

// rowWriter writes rows for one browser.
type rowWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	within  time.Duration
	row     func(e eventstream.Event) (template.HTML, error)
	// wrote is when something was last written, zero before.
	wrote time.Time
}

// write writes the row of an event of the API; without one it shows that the stream is alive.
func (o *rowWriter) write(e eventstream.Event) error {
	row, err := o.row(e)
	if err != nil {
		return err
	}
	if err := o.control.SetWriteDeadline(time.Now().Add(o.within)); err != nil {
		return err
	}
	if o.wrote.IsZero() {
		h := o.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store, no-transform")
		h.Set("X-Accel-Buffering", "no")
	}
	o.wrote = time.Now()
	var id *uint64
	if n, err := strconv.ParseUint(e.ID, 10, 64); err == nil {
		id = &n
	}
	var data []byte
	if row != "" {
		data = []byte(strings.ReplaceAll(string(row), "\n", " "))
	}
	if _, err := o.w.Write(eventstream.Append(nil, "", id, data)); err != nil {
		return err
	}
	return o.control.Flush()
}

// streamed passes a stream of the API on, and keeps an answer that is none.
type streamed struct {
	answer

	out *io.PipeWriter
}

func (s *streamed) Write(text []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	if s.status != http.StatusOK {
		return s.answer.Write(text)
	}
	return s.out.Write(text)
}

// Flush does nothing: what is written is read at once.
func (s *streamed) Flush() {}
