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
	// minProgress is how many bytes must come within Config.Stall of waiting: a
	// sender that drips is not waited for until Config.Timeout.
	minProgress = 1 << 10
	// maxContinued is how often a download is continued within one attempt without
	// continuedProgress bytes since the last time.
	maxContinued      = 3
	continuedProgress = 1 << 20
	// continuedPause is how much longer the pause is before each further one.
	continuedPause = time.Second
)

var (
	errLonger  = errors.New("more came than was said")
	errShorter = errors.New("the answer ended early")
)

// download is the body of one output, from some byte on. It is read by one
// goroutine. When a connection breaks, reading goes on over another one.
type download struct {
	fetcher *fetcher
	ctx     context.Context // of this download: ends when it takes too long
	stop    context.CancelFunc
	address *url.URL
	origin  origin

	// at is how much of the file has come, with what was there before.
	at          int64
	contentType string
	answer      *answer
	waiter      waiter
	logged      time.Time

	continued int   // without much progress in between
	progress  int64 // since the last time
}

// Read returns a fault when the body stalls, ends too early or is longer than the
// limit, and no other connection can help.
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

// read is Read from the connection that there is.
func (d *download) read(p []byte) (int, error) {
	d.waiter.begin()
	n, err := d.answer.body.Read(p)
	d.waiter.end(n)
	d.at += int64(n)
	d.progress += int64(n)
	d.fetcher.logProgress(d)
	host := hostOf(d.answer.from)
	switch {
	case d.at > d.fetcher.limit:
		return 0, tooLarge(d.fetcher.limit)
	case d.origin.Length >= 0 && d.at > d.origin.Length:
		return 0, startAnew(host, errLonger)
	case err == io.EOF && d.origin.Length >= 0 && d.at < d.origin.Length:
		return n, passing(host, errShorter)
	case err != nil && err != io.EOF:
		return n, transferFault(d.answer.ctx, d.answer.from, err)
	}
	return n, err
}

// mayContinue reports whether another connection may have the rest.
func (d *download) mayContinue(err error) bool {
	f, ok := asFault(err)
	if !ok || f.final || f.refused || f.anew || d.origin.Validator == "" || d.ctx.Err() != nil {
		return false
	}
	if d.progress >= continuedProgress {
		d.continued = 0
	}
	return d.continued < maxContinued
}

// proceed asks for the rest. Its error is the reason why there is none, which is
// broken when nobody knows a better one.
func (d *download) proceed(broken error) error {
	d.answer.close()
	if d.continued > 0 {
		if !backoff.Sleep(d.ctx, time.Duration(d.continued)*d.fetcher.pause) {
			return broken
		}
	}
	d.continued++
	d.progress = 0
	a, err := d.fetcher.rest(d.ctx, d.address, progress{origin: d.origin, bytes: d.at})
	if err != nil {
		return err
	}
	// Nothing may have come yet, and then a whole answer begins where that ends, too.
	if a.at != d.at || a.origin.Validator != d.origin.Validator {
		a.close()
		return startAnew(hostOf(a.from), errChanged)
	}
	d.use(a)
	return nil
}

func (d *download) use(a *answer) {
	d.answer, d.at = a, a.at
	d.origin.Length = max(d.origin.Length, a.origin.Length)
	d.waiter = newWaiter(d.fetcher.stall, a.cancel)
}

// Close ends the request, however much of the body was read.
func (d *download) Close() {
	d.answer.close()
	d.stop()
}

// waiter ends a request that does not make progress. Its clock runs only while a
// read waits, so a slow disk is not taken for a slow sender.
type waiter struct {
	timer  *time.Timer
	stall  time.Duration
	waited time.Duration // since the last progress
	came   int           // of it
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
	if w.came += n; w.came >= minProgress {
		w.waited, w.came = 0, 0
	}
}
