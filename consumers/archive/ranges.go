package archive

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

var (
	errChanged = errors.New("the file changed, or cannot be continued")
	errRange   = errors.New("the answer is another part of the file than the requested one")
)

// origin identifies a file at its host. A download can only go on with the rest of the same
// file.
type origin struct {
	// validator is a strong ETag, or a Last-Modified that is as good as one; empty when the host
	// sent neither, and then no download can go on.
	validator string
	// coding lists the codings of the file, see contentCoding.
	coding string
	// length is that of the whole file, -1 when the host named none.
	length int64
}

// resumePoint is where a download goes on; the zero value is the beginning.
type resumePoint struct {
	origin

	at int64 // how many bytes have come
}

// response is one answer of a host, from byte at of the file on.
type response struct {
	ctx         context.Context // ends when the response stalls
	cancel      context.CancelCauseFunc
	url         *url.URL // after redirects
	host        string   // of url, as hostOf writes it
	body        io.ReadCloser
	at          int64
	contentType string
	origin      origin
}

func (r *response) close() {
	r.cancel(nil)
	_ = r.body.Close() // the reader knows whether all of the body came
}

// read notes where the response begins: at the requested point, or at the first byte. Bytes
// count as the rest of a file only when they surely are.
func (r *response) read(resp *http.Response, from resumePoint) error {
	switch {
	case resp.StatusCode == http.StatusOK:
		r.origin = origin{validator: validator(resp.Header), length: resp.ContentLength, coding: contentCoding(resp.Header)}
		return nil
	case from.at > 0 && resp.StatusCode == http.StatusPartialContent:
		total, ok := fits(resp, from)
		if !ok {
			return startAnew(r.host, errRange)
		}
		r.at, r.origin = from.at, from.origin
		r.origin.length = total
		return nil
	case from.at > 0 && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return startAnew(r.host, errChanged)
	}
	return badStatus(r.host, resp)
}

// fits reports whether a 206 is the rest from a point on, and returns the length of the whole
// file. The response may end before the rest does: then the download asks for more.
func fits(resp *http.Response, from resumePoint) (total int64, ok bool) {
	begin, end, total, ok := contentRange(resp.Header)
	switch {
	case !ok, begin != from.at, from.length >= 0 && total != from.length:
		return 0, false
	case resp.ContentLength >= 0 && resp.ContentLength != end-begin+1:
		return 0, false
	}
	// A server that ignores If-Range still describes what it sends.
	if tag := resp.Header.Get("ETag"); tag != "" && strings.HasPrefix(from.validator, `"`) && tag != from.validator {
		return 0, false
	}
	if resp.Header.Get("Content-Encoding") != "" && contentCoding(resp.Header) != from.coding {
		return 0, false
	}
	if date := resp.Header.Get("Last-Modified"); date != "" && !strings.HasPrefix(from.validator, `"`) && date != from.validator {
		return 0, false
	}
	return total, true
}

// contentRange reads "bytes 5-9/10" (RFC 9110, 14.4); the length must be known.
func contentRange(h http.Header) (begin, end, total int64, ok bool) {
	if len(h["Content-Range"]) != 1 {
		return 0, 0, 0, false
	}
	text, ok := strings.CutPrefix(h.Get("Content-Range"), "bytes ")
	first, text, dash := strings.Cut(text, "-")
	last, size, slash := strings.Cut(text, "/")
	if !ok || !dash || !slash {
		return 0, 0, 0, false
	}
	var numbers [3]int64
	for i, digits := range []string{first, last, size} {
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil {
			return 0, 0, 0, false
		}
		numbers[i] = int64(n)
	}
	begin, end, total = numbers[0], numbers[1], numbers[2]
	return begin, end, total, begin <= end && end < total
}

// minAge is how much older than the answer a Last-Modified must be to tell two
// states of a file apart (RFC 9110, 8.8.2.2, wants a second).
const minAge = time.Minute

// maxValidator bounds a validator, in bytes.
const maxValidator = 1 << 10

// validator is the value for If-Range, or "".
func validator(h http.Header) string {
	if tag := h.Get("ETag"); tag != "" {
		if len(tag) < 2 || len(tag) > maxValidator || tag[0] != '"' || tag[len(tag)-1] != '"' {
			return "" // a weak ETag says nothing of the bytes
		}
		return tag
	}
	text := h.Get("Last-Modified")
	modified, err := http.ParseTime(text)
	if err != nil {
		return ""
	}
	if now, err := http.ParseTime(h.Get("Date")); err != nil || now.Sub(modified) < minAge {
		return ""
	}
	return text
}
