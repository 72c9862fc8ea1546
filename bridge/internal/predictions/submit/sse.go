package submit

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

const (
	// maxLine and maxEvent bound the buffered part of a stream, in bytes.
	maxLine  = 1 << 20
	maxEvent = 4 << 20
)

var errTooLong = errors.New("the provider's stream has a longer line or event than can be relayed")

type sseEvent struct {
	// raw is all lines of the event, each ended by one \n, with the empty one that ends it.
	raw []byte
	// data is the joined data lines.
	data []byte
}

// sseReader reads the events of a stream (HTML Living Standard, section 9.2) and comments
// as they come: it never waits for more bytes than an event needs.
type sseReader struct {
	in *bufio.Reader
	// skipLF: the last line ended with \r, and a \n that follows belongs to it.
	skipLF, begun bool
}

func newSSEReader(in io.Reader) *sseReader { return &sseReader{in: bufio.NewReader(in)} }

// next returns the next event. A last event without its empty line counts if the stream was
// not cut off. The error is io.EOF at the end, or errTooLong.
func (r *sseReader) next() (sseEvent, error) {
	var e sseEvent
	for {
		line, err := r.line()
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return sseEvent{}, err
		}
		if len(line) > 0 {
			if len(e.raw)+len(line) > maxEvent {
				return sseEvent{}, errTooLong
			}
			e.add(line)
		}
		switch {
		case len(e.raw) == 0 && ended:
			return sseEvent{}, io.EOF
		case len(e.raw) > 0 && (len(line) == 0 || ended):
			e.raw = append(e.raw, '\n')
			return e, nil
		}
	}
}

func (e *sseEvent) add(line []byte) {
	e.raw = append(append(e.raw, line...), '\n')
	name, value, _ := bytes.Cut(line, []byte(":"))
	if string(name) != "data" {
		return
	}
	if e.data != nil {
		e.data = append(e.data, '\n')
	}
	e.data = append(e.data, bytes.TrimPrefix(value, []byte(" "))...)
}

// line returns a line without its end: \n, \r\n or \r. With io.EOF it returns the unended
// rest.
func (r *sseReader) line() ([]byte, error) {
	var line []byte
	for {
		b, err := r.in.ReadByte()
		if err != nil {
			return line, err
		}
		skip := r.skipLF && b == '\n'
		r.skipLF = b == '\r'
		switch {
		case skip:
		case b == '\n' || b == '\r':
			return r.withoutBOM(line), nil
		case len(line) == maxLine:
			return nil, errTooLong
		default:
			line = append(line, b)
		}
	}
}

// withoutBOM removes the byte order mark that a stream may begin with.
func (r *sseReader) withoutBOM(line []byte) []byte {
	if !r.begun {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	r.begun = true
	return line
}
