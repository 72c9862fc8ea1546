package archive

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/internal/retryafter"
)

// fault is why one output could not be downloaded or kept. Every other error is of this machine,
// and concerns all outputs. The text of a fault never holds an address, because queries carry
// signatures.
type fault struct {
	err error
	// short is the fault in two or three words.
	short string
	// final: no further attempt can help.
	final bool
	// anew: the bytes that came are useless, but a download from the beginning may work.
	anew bool
	// late: the file may not be there yet.
	late bool
	// refused: this archive does not ask the host, and a person should look.
	refused bool
	host    string
	// after is how long the host wants to be left alone, 0 when it named no time.
	after time.Duration
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// passing is a fault that another attempt may not meet.
func passing(host string, err error) *fault {
	return &fault{err: fmt.Errorf("downloading from %s: %w", host, err), short: "failed"}
}

// startAnew is a passing fault after which nothing of what came may be used.
func startAnew(host string, err error) *fault {
	f := passing(host, err)
	f.anew = true
	return f
}

func refuse(host, remedy string, cause error) *fault {
	return &fault{err: fmt.Errorf("%w: %s", cause, remedy), short: "refused", refused: true, host: host}
}

func tooLarge(limit int64) *fault {
	return &fault{
		err:   fmt.Errorf("larger than %d bytes: raise consumers.<name>.max_output", limit),
		short: "too large",
		final: true,
	}
}

func badStatus(host string, resp *http.Response) *fault {
	f := &fault{
		err:   fmt.Errorf("%s answered %d", host, resp.StatusCode),
		short: "answered " + strconv.Itoa(resp.StatusCode),
	}
	switch resp.StatusCode {
	case http.StatusGone:
		f.err = fmt.Errorf("gone: %w", f.err)
		f.short = fmt.Sprintf("gone (%d)", resp.StatusCode)
		f.final = true
	case http.StatusForbidden, http.StatusNotFound:
		f.late = true
		f.short = fmt.Sprintf("late (%d)", resp.StatusCode)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		f.after = retryafter.Parse(resp.Header.Get("Retry-After"), time.Now())
	}
	return f
}

func asFault(err error) (*fault, bool) {
	var f *fault
	return f, errors.As(err, &f)
}
