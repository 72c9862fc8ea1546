package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// name is a flag that narrows the selection of a verb. Left out it selects everything, so an
// empty value is refused: it is usually a shell variable that was never set.
type name string

func (n *name) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("it is empty: name one, or leave the flag out")
	}
	*n = name(text)
	return nil
}

// oneName is a list of the name, empty when it was left out.
func oneName(n name) []name {
	if n == "" {
		return nil
	}
	return []name{n}
}

// nameList is a flag that can be repeated, or hold several names with commas between.
type nameList []name

// UnmarshalText is called by kong, once for each flag.
func (l *nameList) UnmarshalText(text []byte) error {
	for part := range strings.SplitSeq(string(text), ",") {
		var n name
		if err := n.UnmarshalText([]byte(part)); err != nil {
			return err
		}
		*l = append(*l, n)
	}
	return nil
}

func texts(names []name) []string {
	var out []string
	for _, n := range names {
		out = append(out, string(n))
	}
	return out
}

// readInput reads the file that a flag names, - for standard input, of at most limit bytes.
func readInput(flag, name string, limit int64, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return text, nil
}

// moment is a flag: a time, or how long ago the time was.
type moment struct{ time.Time }

func (m *moment) UnmarshalText(text []byte) (err error) {
	m.Time, err = parseTime(string(text), true, "how long ago it was, such as 2h")
	return err
}

func (m moment) query() string {
	if m.IsZero() {
		return ""
	}
	return m.UTC().Format(time.RFC3339Nano)
}

// startPoint is a flag: where a durable begins, as the API names it. A time may be how long ago it was.
type startPoint string

func (p *startPoint) UnmarshalText(text []byte) error {
	*p = startPoint(text)
	if *p == "new" || *p == "all" {
		return nil
	}
	var at moment
	if err := at.UnmarshalText(text); err != nil {
		return errors.New("write new, all, a time such as 2026-01-31T15:04:05Z, or how long ago it was, such as 72h")
	}
	*p = startPoint(at.query())
	return nil
}

// ahead is a flag: a time to come, or in how long it comes.
type ahead struct{ time.Time }

func (a *ahead) UnmarshalText(text []byte) (err error) {
	a.Time, err = parseTime(string(text), false, "in how long it is, such as 10m")
	return err
}

// parseTime parses a time, or a duration before or after now. The text duration describes the
// duration in the error.
func parseTime(text string, ago bool, duration string) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		if ago {
			d = -d
		}
		return time.Now().Add(d), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, errors.New("write a time such as 2026-01-31T15:04:05Z, or " + duration)
	}
	return at, nil
}
