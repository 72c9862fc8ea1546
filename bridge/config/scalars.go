package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// valueError is a value that cannot be read, with its place in the file. The text repeats
// nothing of the value, which may be a secret.
type valueError struct {
	node ast.Node
	text string
}

func (e *valueError) Error() string { return e.text }

// decodeText calls parse with a scalar. Any error becomes the hint, which says how to write the
// value.
func decodeText(node ast.Node, hint string, parse func(text string) error) error {
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil || parse(text) != nil {
		return &valueError{node, hint}
	}
	return nil
}

// ByteSize is a number of bytes, written as 4MiB, 10GB or 4096.
type ByteSize int64

const byteSizeHint = "this is no size: write one such as 4MiB"

// UnmarshalYAML reads a value of the file.
func (b *ByteSize) UnmarshalYAML(node ast.Node) error {
	return decodeText(node, byteSizeHint, func(text string) error { return b.UnmarshalText([]byte(text)) })
}

// UnmarshalText reads a flag.
func (b *ByteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > math.MaxInt64 {
		return errors.New(byteSizeHint)
	}
	*b = ByteSize(n)
	return nil
}

func (b ByteSize) String() string { return humanize.IBytes(uint64(b)) }

// Duration is a time.Duration, written as 5s, 10m or 36h.
type Duration time.Duration

// UnmarshalYAML reads a value of the file.
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	return decodeText(node, "this is no duration: write one such as 5s, 10m or 36h", func(text string) error {
		v, err := time.ParseDuration(text)
		*d = Duration(v)
		return err
	})
}

func (d Duration) String() string { return time.Duration(d).String() }

// Rate is a number a second, written as 50/s, 600/m or 1000/h. Zero is no limit.
type Rate float64

// UnmarshalYAML reads a value of the file.
func (r *Rate) UnmarshalYAML(node ast.Node) error {
	return decodeText(node, "this is no rate: write one such as 50/s, 600/m or 1000/h, or 0 for no limit", func(text string) error {
		if text == "0" {
			*r = 0
			return nil
		}
		number, unit, _ := strings.Cut(text, "/")
		n, err := strconv.ParseUint(number, 10, 31)
		seconds, known := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
		if err != nil || !known || n == 0 {
			return errors.New("no rate")
		}
		*r = Rate(float64(n) / seconds)
		return nil
	})
}

// Strings is one string or a list of them.
type Strings []string

// UnmarshalYAML reads a value of the file.
func (l *Strings) UnmarshalYAML(node ast.Node) error {
	list, one := []string{}, ""
	var err error
	if node.Type() == ast.SequenceType {
		err = yaml.NodeToValue(node, &list)
	} else {
		err = yaml.NodeToValue(node, &one)
		list = append(list, one)
	}
	if err != nil {
		return &valueError{node, "write a string or a list of strings"}
	}
	*l = list
	return nil
}
