package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/hookspan/hookspan/internal/pasted"
)

// byteSize is a number of bytes, written as 4MiB, 10GB or 4096.
type ByteSize int64

// valueError is a value that cannot be read, with its place in the file.
type valueError struct {
	node ast.Node
	text string
}

func (e *valueError) Error() string { return e.text }

func (b *ByteSize) UnmarshalYAML(node ast.Node) error {
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil {
		return &valueError{node, "this is no size: write one such as 4MiB"}
	}
	if err := b.UnmarshalText([]byte(text)); err != nil {
		return &valueError{node, err.Error()}
	}
	return nil
}

// UnmarshalText reads a flag.
func (b *ByteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > math.MaxInt64 {
		return errors.New("this is no size: write one such as 4MiB")
	}
	*b = ByteSize(n)
	return nil
}

// duration is a time.Duration, written as 5s, 10m or 36h.
type duration time.Duration

func (d *duration) UnmarshalYAML(node ast.Node) error {
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil {
		return &valueError{node, "this is no duration: write one such as 5s, 10m or 36h"}
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return &valueError{node, "this is no duration: write one such as 5s, 10m or 36h"}
	}
	*d = duration(v)
	return nil
}

func (d duration) String() string { return time.Duration(d).String() }

func (b ByteSize) String() string { return humanize.IBytes(uint64(b)) }

// rate is a number of things a second, written as 50/s, 600/m or 1000/h. Zero is
// no limit.
type rate float64

func (r *rate) UnmarshalYAML(node ast.Node) error {
	wrong := &valueError{node, "this is no rate: write one such as 50/s, 600/m or 1000/h, or 0 for no limit"}
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil {
		return wrong
	}
	if text == "0" {
		*r = 0
		return nil
	}
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 31)
	seconds, known := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	if err != nil || !known || n == 0 {
		return wrong
	}
	*r = rate(float64(n) / seconds)
	return nil
}

// stringList is one string or a list of them.
type stringList []string

func (l *stringList) UnmarshalYAML(node ast.Node) error {
	var list []string
	if node.Type() == ast.SequenceType {
		if err := yaml.NodeToValue(node, &list); err != nil {
			return &valueError{node, "write a string or a list of strings"}
		}
		*l = list
		return nil
	}
	var one string
	if err := yaml.NodeToValue(node, &one); err != nil {
		return &valueError{node, "write a string or a list of strings"}
	}
	*l = stringList{one}
	return nil
}

// secretRef says where a secret is: env:NAME or file:PATH. It is never the
// secret itself, so it may be shown.
type SecretRef string

// maxSecret bounds a secret's file in bytes.
const maxSecret = 64 << 10

func (r *SecretRef) UnmarshalYAML(node ast.Node) error {
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil {
		// Between braces the library reads env:NAME as a map of one key.
		var pair map[string]string
		if err := yaml.NodeToValue(node, &pair); err == nil && len(pair) == 1 {
			for kind, name := range pair {
				text = kind + ":" + name
			}
		}
	}
	*r = SecretRef(text)
	if r.valid() {
		return nil
	}
	// The text may be the secret, so it is not repeated.
	return &valueError{node, "a secret is not written here: write env:NAME or file:PATH"}
}

// UnmarshalText reads a flag.
func (r *SecretRef) UnmarshalText(text []byte) error {
	*r = SecretRef(text)
	if !r.valid() {
		return errors.New("a secret is not written here: write env:NAME or file:PATH")
	}
	return nil
}

func (r SecretRef) valid() bool {
	kind, name, ok := strings.Cut(string(r), ":")
	return ok && name != "" && (kind == "env" || kind == "file")
}

// absolute is the same secret from whatever folder.
func (r SecretRef) Absolute() SecretRef {
	if path, ok := strings.CutPrefix(string(r), "file:"); ok {
		return SecretRef("file:" + Absolute(path))
	}
	return r
}

// require is resolve for a secret that must be there.
func (r SecretRef) Require(getenv func(string) (string, bool)) ([]byte, error) {
	secret, err := r.Resolve(getenv)
	if err == nil && len(secret) == 0 {
		err = fmt.Errorf("the secret %s is empty or not set: set it", r)
	}
	return secret, err
}

// resolve returns the secret. An environment variable that is missing or empty
// is no error but an empty secret; a file must be there. Of a file a byte order mark and
// one line break at the end are left out, since editors add them. Anything else that was
// pasted with the secret is an error.
func (r SecretRef) Resolve(getenv func(string) (string, bool)) ([]byte, error) {
	kind, name, _ := strings.Cut(string(r), ":")
	var secret []byte
	if kind == "env" {
		value, _ := getenv(name)
		secret = []byte(value)
	} else {
		var err error
		if secret, err = readSecret(name); err != nil {
			return nil, fmt.Errorf("reading a secret: %w", err)
		}
	}
	if err := pasted.Check(secret); err != nil {
		return nil, fmt.Errorf("the secret %s cannot be used: %w", r, err)
	}
	return secret, nil
}

func readSecret(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSecret {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxSecret)
	}
	if text, err = pasted.Text(text); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	text, cut := bytes.CutSuffix(text, []byte("\n"))
	if cut {
		text = bytes.TrimSuffix(text, []byte("\r"))
	}
	return text, nil
}
