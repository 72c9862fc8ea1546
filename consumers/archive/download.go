package archive

import (
	"context"
	"io"
	"net/url"
	"time"
)

// download is the body of one output. It is read by one goroutine.
type download struct {
	length      int64 // -1 when the sender did not say
	contentType string
	urlPath     string   // of the output's own address
	from        *url.URL // what the redirects led to

	body    io.ReadCloser
	ctx     context.Context // of this download: ends when it stalls or takes too long
	release func()
	timer   *time.Timer
	stall   time.Duration
	limit   int64
	read    int64
}

// Read returns a fault when the body stalls, ends too early or is longer than the
// limit.
func (d *download) Read(p []byte) (int, error) {
	d.timer.Reset(d.stall)
	n, err := d.body.Read(p)
	d.timer.Stop()
	d.read += int64(n)
	switch {
	case d.read > d.limit:
		return 0, tooLarge(d.limit)
	case err != nil && err != io.EOF:
		return n, transferFault(d.ctx, d.from, err)
	}
	return n, err
}

// Close ends the request, however much of the body was read.
func (d *download) Close() {
	d.timer.Stop()
	d.release()
	_ = d.body.Close() // whether all of it came is known already
}
