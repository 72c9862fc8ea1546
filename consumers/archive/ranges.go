package archive

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var (
	errChanged = errors.New("the file changed, or cannot be continued")
	errRange   = errors.New("the answer is another part of the file than was asked for")
)

// read makes sense of the answer, which should begin where that ends which is there,
// or at the first byte. Nothing is taken for the rest of a file that is not surely
// so.
func (a *answer) read(resp *http.Response, there progress) error {
	host := hostOf(a.from)
	switch {
	case resp.StatusCode == http.StatusOK:
		a.origin = origin{Validator: validator(resp.Header), Length: resp.ContentLength, Coding: contentCoding(resp.Header)}
		return nil
	case there.bytes > 0 && resp.StatusCode == http.StatusPartialContent:
		total, ok := fits(resp, there)
		if !ok {
			return startAnew(host, errRange)
		}
		a.at, a.origin = there.bytes, there.origin
		a.origin.Length = total
		return nil
	case there.bytes > 0 && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return startAnew(host, errChanged)
	}
	return badStatus(host, resp)
}

// fits reports whether a 206 is the rest of what is there, and the length of the
// whole. It may end before the rest does: more is asked for then.
func fits(resp *http.Response, there progress) (total int64, ok bool) {
	begin, end, total, ok := contentRange(resp.Header)
	switch {
	case !ok, begin != there.bytes, there.Length >= 0 && total != there.Length:
		return 0, false
	case resp.ContentLength >= 0 && resp.ContentLength != end-begin+1:
		return 0, false
	}
	// A server that ignores If-Range says at least what it sends.
	if tag := resp.Header.Get("ETag"); tag != "" && strings.HasPrefix(there.Validator, `"`) && tag != there.Validator {
		return 0, false
	}
	if resp.Header.Get("Content-Encoding") != "" && contentCoding(resp.Header) != there.Coding {
		return 0, false
	}
	if date := resp.Header.Get("Last-Modified"); date != "" && !strings.HasPrefix(there.Validator, `"`) && date != there.Validator {
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

// maxValidator bounds what is kept of one, in bytes.
const maxValidator = 1 << 10

// validator is what If-Range can be asked with, or "".
func validator(h http.Header) string {
	if tag := h.Get("ETag"); tag != "" {
		if len(tag) < 2 || len(tag) > maxValidator || tag[0] != '"' || tag[len(tag)-1] != '"' {
			return "" // a weak one says nothing of the bytes
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
