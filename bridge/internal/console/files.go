package console

import (
	"context"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// filePath returns the path of output n of a prediction, counted from 0 on, as an archive has it.
func filePath(source, id string, n int) template.URL { return outputAt("/files/", source, id, n) }

// thumbPath returns the path of a small picture of an output.
func thumbPath(source, id string, n int) template.URL { return outputAt("/thumbs/", source, id, n) }

// outputAt is the path of an output below another. A browser takes an id of dots for a step in a
// path.
func outputAt(below template.URL, source, id string, n int) template.URL {
	path := below + template.URL(url.PathEscape(source)) //nolint:gosec // escaped
	if strings.Trim(id, ".") == "" {
		return path + query("id", id, "n", n)
	}
	return path + template.URL("/"+url.PathEscape(id)+"/"+strconv.Itoa(n)) //nolint:gosec // escaped
}

// outputPath returns the path in the API of the output that the visitor's request names.
func (v *visit) outputPath() string {
	return apiPrediction(v.param("source"), v.param("id")) + "/outputs/" + escaped(v.param("n"))
}

// fileHeaders are those by which a browser asks for a part of a file, or whether it has it.
var fileHeaders = []string{"Range", "If-Range", "If-Match", "If-None-Match"}

// file passes an output on from the API, as it comes.
func (c *Console) file(w http.ResponseWriter, r *http.Request) {
	v := c.visit(r)
	header := http.Header{}
	for _, name := range fileHeaders {
		if values := r.Header.Values(name); len(values) > 0 {
			header[name] = values
		}
	}
	req, err := v.outputRequest(r.Context(), r.Method, header)
	if err != nil {
		c.fail(w, v, err)
		return
	}
	c.pass(w, v, req)
}

// pass answers a visitor what the API answers, and an error as a page.
func (c *Console) pass(w http.ResponseWriter, v *visit, req *http.Request) {
	out := &passed{to: w, kept: answer{header: http.Header{}}}
	c.api.ServeHTTP(out, req)
	if out.failed() {
		if part := out.Header().Get("Content-Range"); part != "" {
			w.Header().Set("Content-Range", part)
		}
		c.fail(w, v, out.kept.problem())
	}
}

// outputRequest asks the API for the output that the visitor's request names.
func (v *visit) outputRequest(ctx context.Context, method string, header http.Header) (*http.Request, error) {
	req, err := v.apiRequest(ctx, method, v.outputPath(), nil)
	if err == nil {
		maps.Copy(req.Header, header)
	}
	return req, err
}

// passed passes an answer of the API on to a browser, and keeps an error.
type passed struct {
	to http.ResponseWriter
	// kept is the status, the header, and the body of an error.
	kept answer
}

func (p *passed) failed() bool { return p.kept.status >= http.StatusBadRequest }

func (p *passed) Header() http.Header { return p.kept.header }

func (p *passed) WriteHeader(status int) {
	if p.kept.status != 0 {
		return
	}
	if p.kept.status = status; !p.failed() {
		maps.Copy(p.to.Header(), p.kept.header)
		p.to.WriteHeader(status)
	}
}

func (p *passed) Write(text []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	if p.failed() {
		return p.kept.Write(text)
	}
	return p.to.Write(text)
}

// Unwrap lets the API set the deadlines of the browser's connection.
func (p *passed) Unwrap() http.ResponseWriter { return p.to }

// outputHead is what the API says of an output without sending it.
type outputHead struct {
	status int
	header http.Header
}

// headOutput asks what an output is, and whether it still is the one with the tag; "" is any. The
// error is a [*problem] when the visitor does not get the output.
func (v *visit) headOutput(ctx context.Context, tag string) (outputHead, error) {
	header := http.Header{}
	if tag != "" {
		header.Set("If-None-Match", tag)
	}
	req, err := v.outputRequest(ctx, http.MethodHead, header)
	if err != nil {
		return outputHead{}, err
	}
	res := &answer{header: http.Header{}}
	v.console.api.ServeHTTP(res, req)
	switch res.status {
	case http.StatusOK, http.StatusNotModified:
		return outputHead{res.status, res.header}, nil
	}
	return outputHead{}, res.problem()
}
