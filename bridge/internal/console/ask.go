package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

const (
	apiPrefix = "/api/v1"
	// maxAnswer bounds an answer of the API that a page is made of, in bytes.
	maxAnswer = 64 << 20
)

// problem is an answer of the API that is not 200 (RFC 9457).
type problem struct {
	Status     int    `json:"status"`
	Title      string `json:"title"`
	Detail     string `json:"detail"`
	RequestID  string `json:"request_id"`
	RetryAfter string `json:"-"`
}

// Error returns what a person is told.
func (p *problem) Error() string {
	switch {
	case p.Detail != "":
		return p.Detail
	case p.Status == http.StatusInternalServerError && p.RequestID != "":
		return "The bridge failed: its log says why, at request " + p.RequestID + "."
	}
	return p.Title
}

// Missing reports whether the API does not know what was asked for.
func (p *problem) Missing() bool { return p.Status == http.StatusNotFound }

// ask gets a path below the API's prefix. The error is a [*problem] when the API answered
// something else than 200.
func ask[T any](v *visit, path string, query url.Values) (out T, err error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return out, v.call(http.MethodGet, path, nil, nil, &out)
}

// tell posts a body, see [ask].
func tell[T any](v *visit, path string, body any) (out T, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return out, fmt.Errorf("writing a request to the API: %w", err)
	}
	return out, v.call(http.MethodPost, path, text, nil, &out)
}

// call asks the API in this process, as the visitor.
func (v *visit) call(method, path string, body []byte, header http.Header, out any) error {
	req, err := v.apiRequest(v.ctx, method, path, body)
	if err != nil {
		return err
	}
	maps.Copy(req.Header, header)
	res := &answer{header: http.Header{}}
	v.console.api.ServeHTTP(res, req)
	res.WriteHeader(http.StatusOK) // it is that of a handler that wrote nothing
	if res.err != nil {
		return fmt.Errorf("reading the API's answer: %w", res.err)
	}
	if res.status != http.StatusOK {
		return res.problem()
	}
	if err := json.Unmarshal(res.body.Bytes(), out); err != nil {
		return fmt.Errorf("reading the API's answer: %w", err)
	}
	return nil
}

// apiRequest returns a request of the visitor for a path below the API's prefix.
func (v *visit) apiRequest(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	return v.requestOf(ctx, method, apiPrefix+path, body)
}

// requestOf returns a request of the visitor: what the API judges a caller by is the browser's.
func (v *visit) requestOf(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("asking the API: %w", err)
	}
	req.Host, req.RemoteAddr, req.TLS, req.RequestURI = v.request.Host, v.request.RemoteAddr, v.request.TLS, path
	for _, name := range []string{"Origin", "Sec-Fetch-Site"} {
		if values := v.request.Header.Values(name); len(values) > 0 {
			req.Header[name] = values
		}
	}
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	if v.token != "" {
		req.Header.Set("Authorization", "Bearer "+v.token)
	}
	return req, nil
}

// Wrong reports whether nothing that exists could be the answer, such as for a filter that names
// what cannot be a source.
func (p *problem) Wrong() bool { return p.Status == http.StatusBadRequest }

var errLarge = errors.New("it is larger than a page can be made of")

// answer keeps an answer of the API in memory.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	err    error
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(text []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.body.Len()+len(text) > maxAnswer {
		a.err = errLarge
		return 0, errLarge
	}
	return a.body.Write(text)
}

// SetReadDeadline and SetWriteDeadline do nothing: there is no connection.
func (a *answer) SetReadDeadline(time.Time) error  { return nil }
func (a *answer) SetWriteDeadline(time.Time) error { return nil }

func (a *answer) problem() *problem {
	p := &problem{}
	if err := json.NewDecoder(io.LimitReader(&a.body, maxAnswer)).Decode(p); err != nil {
		p.Title = http.StatusText(a.status)
	}
	p.Status, p.RetryAfter = a.status, a.header.Get("Retry-After")
	return p
}
