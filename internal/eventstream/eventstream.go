// Package eventstream reads and writes Server-Sent Events whose data is one line, as those of
// the bridge's API.
package eventstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Event is one event. Its ID is what a client sends as Last-Event-ID; without a name and data it
// only moves that on.
type Event struct{ Name, ID, Data string }

// Append appends an event as it is sent. Its data must not hold a line break. An event without
// a name and data also keeps proxies from closing a silent connection.
func Append(to []byte, name string, id *uint64, data []byte) []byte {
	if name != "" {
		to = append(append(append(to, "event: "...), name...), '\n')
	} else {
		to = append(to, ":\n"...)
	}
	if id != nil {
		to = append(strconv.AppendUint(append(to, "id: "...), *id, 10), '\n')
	}
	if data != nil {
		to = append(append(append(to, "data: "...), data...), '\n')
	}
	return append(to, '\n')
}

// ErrBroken is wrapped when a stream ended: no stream has an end of its own.
var ErrBroken = errors.New("the stream of events broke off")

// Read calls each with every event until in ends, and returns an error that wraps [ErrBroken];
// or until each returns an error, which Read returns. A line of more than maxLine bytes is an
// error too, [bufio.ErrTooLong]. Alive is called for every line.
func Read(in io.Reader, maxLine int, alive func(), each func(Event) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	var e Event
	for lines.Scan() {
		alive()
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			e.Name = value
		case "id":
			e.ID = value
		case "data":
			e.Data = value
		}
		if lines.Text() != "" || e == (Event{}) {
			continue
		}
		if err := each(e); err != nil {
			return err
		}
		e = Event{}
	}
	switch err := lines.Err(); {
	case err == nil:
		return fmt.Errorf("%w: %w", ErrBroken, io.ErrUnexpectedEOF)
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("reading Server-Sent Events: %w", err)
	default:
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
}
