package archive

import (
	"context"
	"errors"
	"io"
	"net/url"
	"time"

	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// minReceived is how many bytes must come within Config.Stall of waiting: a sender that
	// drips must not take Config.Timeout.
	minReceived = 1 << 10
	// maxContinued is how often in a row a download is continued within one attempt before
	// continuedBytes bytes have come.
	maxContinued   = 3
	continuedBytes = 1 << 20
	// continuedPause is how much longer the pause is before each further continuation.
	continuedPause = time.Second
)

var (
	errLonger  = errors.New("more bytes came than the host had announced")
	errShorter = errors.New("the answer ended early")
)

// download is the body of one output, for one goroutine. When a connection breaks, reading goes
// on over another one.
type download struct {
	downloader *downloader
	ctx        context.Context // ends when the download takes too long
	stop       context.CancelFunc
	address    *url.URL
	origin     origin

	// at is how many bytes of the file have come.
	at          int64
	contentType string
	response    *response
	waiter      waiter
	logged      time.Time

	continued int   // since continuedBytes had come
	received  int64 // bytes since the last continuation
}

// Read returns a fault when the body stalls, ends too early or is longer than the limit, and no
// other connection can help.
func (d *download) Read(p []byte) (int, error) {
	for {
		n, err := d.read(p)
		if _, broken := asFault(err); !broken {
			return n, err
		}
		if !d.mayContinue(err) {
			return n, err
		}
		if err := d.proceed(err); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

func (d *download) read(p []byte) (int, error) {
	d.waiter.begin()
	n, err := d.response.body.Read(p)
	d.waiter.end(n)
	d.at += int64(n)
	d.received += int64(n)
	d.downloader.logDownload(d)
	switch {
	case d.at > d.downloader.limit:
		return 0, tooLarge(d.downloader.limit)
	case d.origin.length >= 0 && d.at > d.origin.length:
		return 0, startAnew(d.response.host, errLonger)
	case err == io.EOF && d.origin.length >= 0 && d.at < d.origin.length:
		return n, passing(d.response.host, errShorter)
	case err != nil && err != io.EOF:
		return n, transferFault(d.response.ctx, d.response.url, err)
	}
	return n, err
}

// mayContinue reports whether the download may go on over another connection.
func (d *download) mayContinue(err error) bool {
	f, ok := asFault(err)
	if !ok || f.final || f.refused || f.anew || d.origin.validator == "" || d.ctx.Err() != nil {
		return false
	}
	if d.received >= continuedBytes {
		d.continued = 0
	}
	return d.continued < maxContinued
}

// proceed asks for the rest. Its error says why there is none, or is broken when no better
// reason is known.
func (d *download) proceed(broken error) error {
	d.response.close()
	if d.continued > 0 {
		if !backoff.Sleep(d.ctx, time.Duration(d.continued)*d.downloader.pause) {
			return broken
		}
	}
	d.continued++
	d.received = 0
	r, err := d.downloader.rest(d.ctx, d.address, resumePoint{d.origin, d.at})
	if err != nil {
		return err
	}
	// Before any byte has come, a whole answer begins at the right place too.
	if r.at != d.at || r.origin.validator != d.origin.validator {
		r.close()
		return startAnew(r.host, errChanged)
	}
	d.use(r)
	return nil
}

func (d *download) use(r *response) {
	d.response, d.at = r, r.at
	d.origin.length = max(d.origin.length, r.origin.length)
	d.waiter = newWaiter(d.downloader.stall, r.cancel)
}

// Close ends the request, however much of the body was read.
func (d *download) Close() {
	d.response.close()
	d.stop()
}

// waiter ends a request that makes no progress. Its clock runs only while a read waits, so a
// slow disk does not count as a slow sender.
type waiter struct {
	timer  *time.Timer
	stall  time.Duration
	waited time.Duration // since the last progress
	came   int           // bytes since then
	since  time.Time
}

func newWaiter(stall time.Duration, cancel context.CancelCauseFunc) waiter {
	w := waiter{stall: stall, timer: time.AfterFunc(stall, func() { cancel(errStalled) })}
	w.timer.Stop()
	return w
}

func (w *waiter) begin() {
	w.since = time.Now()
	w.timer.Reset(max(w.stall-w.waited, 0))
}

func (w *waiter) end(n int) {
	w.timer.Stop()
	w.waited += time.Since(w.since)
	if w.came += n; w.came >= minReceived {
		w.waited, w.came = 0, 0
	}
}
