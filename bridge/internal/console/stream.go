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
	// writeTime is how long a browser may take to read what it was sent.
	writeTime = 10 * time.Second
	// maxLine bounds a line of a stream of the API, in bytes.
	maxLine = 1 << 20
)

// stream is a live part of a page: a stream of the API, whose events become rows.
type stream struct {
	// path is that of the API, below its prefix.
	path string
	// params are those of the page's query that the API takes too.
	params []string
	// row returns the HTML of an event of the API; empty is none.
	row func(e eventstream.Event) (template.HTML, error)
}

// stream returns the handler of a live part. It ends with the stream of the API, which goes on
// behind the last row when the browser comes again.
func (c *Console) stream(s stream) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := c.visit(r)
		query := url.Values{}
		for _, name := range s.params {
			if value := r.URL.Query().Get(name); value != "" {
				query.Set(name, value)
			}
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
		err = s.copy(w, in)
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

// copy writes the rows of a stream until it ends or the browser does not read.
func (s stream) copy(w http.ResponseWriter, in io.Reader) error {
	var begun error
	control := http.NewResponseController(w)
	err := eventstream.Read(in, maxLine, func() {}, func(e eventstream.Event) error {
		if err := control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
			return err
		}
		if begun == nil {
			begun = errBegun
			h := w.Header()
			h.Set("Content-Type", "text/event-stream")
			h.Set("Cache-Control", "no-store, no-transform")
			h.Set("X-Accel-Buffering", "no")
		}
		var row template.HTML
		if e.Name != "" {
			var err error
			if row, err = s.row(e); err != nil {
				return err
			}
		}
		var id *uint64
		if n, err := strconv.ParseUint(e.ID, 10, 64); err == nil {
			id = &n
		}
		var data []byte
		if row != "" {
			data = []byte(strings.ReplaceAll(string(row), "\n", " "))
		}
		if _, err := w.Write(eventstream.Append(nil, "", id, data)); err != nil {
			return err
		}
		return control.Flush()
	})
	return errors.Join(begun, err)
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
