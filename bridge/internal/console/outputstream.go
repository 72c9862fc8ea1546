package console

import (
	"context"
	"errors"
	"io"
	"net/http"
)

// counted counts what is read.
type counted struct {
	r     io.Reader
	n     int64
	ended bool
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.ended = c.ended || err != nil
	return n, err
}

// openedOutput is an output as it comes from the API.
type openedOutput struct {
	*io.PipeReader

	res   *streamed
	ended chan struct{}
	stop  func() bool
}

// openOutput reads the output from the API, if it still is the one with the tag.
func (v *visit) openOutput(ctx context.Context, tag string) (*openedOutput, error) {
	header := http.Header{}
	if tag != "" {
		header.Set("If-Match", tag)
	}
	req, err := v.outputRequest(ctx, http.MethodGet, header)
	if err != nil {
		return nil, err
	}
	in, out := io.Pipe()
	o := &openedOutput{PipeReader: in, res: &streamed{answer: answer{header: http.Header{}}, out: out}, ended: make(chan struct{})}
	o.stop = context.AfterFunc(ctx, func() { _ = in.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer close(o.ended)
		v.console.api.ServeHTTP(o.res, req)
		_ = out.Close()
	}()
	return o, nil
}

// close ends what is being read.
func (o *openedOutput) close() {
	o.stop()
	_ = o.CloseWithError(io.ErrClosedPipe) // the API notices when it writes
	<-o.ended
}

var errHalfOutput = errors.New("the archive stopped sending an output")

// err is why the output has ended too early.
func (o *openedOutput) err() error {
	o.close()
	if o.res.status != 0 && o.res.status != http.StatusOK {
		return o.res.problem()
	}
	return errHalfOutput
}
