package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/hookspan/hookspan/internal/pasted"
)

// maxConfigBytes bounds the configuration file.
const MaxConfigBytes = 1 << 20

// load reads the configuration; path empty means that there is none. An error
// names file, line and remedy, and repeats nothing of the file but keys: a value
// can be a secret that was written in the wrong place.
func Load(path string) (*Config, error) {
	cfg, _, err := LoadDocument(path)
	return cfg, err
}

// loadDocument is load that also returns where each key stands.
func LoadDocument(path string) (*Config, *document, error) {
	cfg := DefaultConfig()
	doc := &document{name: path}
	if path != "" {
		text, err := readConfig(path)
		if err != nil {
			return nil, nil, err
		}
		if err := doc.decode(text, &cfg); err != nil {
			return nil, nil, err
		}
	}
	cfg.fillDefaults()
	if dir, err := filepath.Abs(cfg.DataDir); err == nil && cfg.DataDir != "" {
		cfg.DataDir = dir
	}
	if err := doc.Join(cfg.problems()); err != nil {
		return nil, nil, err
	}
	return &cfg, doc, nil
}

// join makes one error of the problems, nil of none.
func (d *document) Join(problems []Problem) error {
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = d.at(p)
	}
	return errors.Join(errs...)
}

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, MaxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if len(text) > MaxConfigBytes {
		return nil, fmt.Errorf("reading the configuration: %s is larger than %d bytes", path, MaxConfigBytes)
	}
	if text, err = pasted.Text(text); err != nil {
		return nil, fmt.Errorf("reading the configuration: %s: %w", path, err)
	}
	return text, nil
}

// document knows the place of each key in the file.
type document struct {
	name string
	file *ast.File
}

func (d *document) decode(text []byte, cfg *Config) error {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return d.explain(err)
	}
	d.file = file
	if len(file.Docs) > 1 {
		return fmt.Errorf("%s: it holds %d documents: write one", d.name, len(file.Docs))
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil // nothing but comments
	}
	if err := yaml.NodeToValue(file.Docs[0].Body, cfg, yaml.Strict()); err != nil {
		return d.explain(err)
	}
	return nil
}

// explain makes one line of an error of the YAML library.
func (d *document) explain(err error) error {
	if value, ok := errors.AsType[*valueError](err); ok {
		return d.line(value.node, value.text)
	}
	if unknown, ok := errors.AsType[*yaml.UnknownFieldError](err); ok {
		pos := unknown.Token.Position
		return fmt.Errorf("%s:%d:%d: %q is not a key here: check its spelling and its indentation", d.name, pos.Line, pos.Column, unknown.Token.Value)
	}
	if typed, ok := errors.AsType[*yaml.TypeError](err); ok {
		// Its own text speaks of types of Go.
		pos := typed.Token.Position
		return fmt.Errorf("%s:%d:%d: a value of another type belongs here", d.name, pos.Line, pos.Column)
	}
	if known, ok := errors.AsType[yaml.Error](err); ok {
		pos := known.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", d.name, pos.Line, pos.Column, known.GetMessage())
	}
	return fmt.Errorf("%s: %w", d.name, err)
}

func (d *document) line(node ast.Node, text string) error {
	pos := node.GetToken().Position
	return fmt.Errorf("%s:%d:%d: %s", d.name, pos.Line, pos.Column, text)
}

// find returns the node at the keys, or nil.
func (d *document) find(keys []string) ast.Node {
	if d.file == nil {
		return nil
	}
	builder := (&yaml.PathBuilder{}).Root()
	for _, key := range keys {
		builder = builder.Child(key)
	}
	node, err := builder.Build().FilterFile(d.file)
	if err != nil {
		return nil
	}
	return node
}

// problem is a value that can be read and not used.
type Problem struct {
	keys []string
	text string
}

// at says where the problem is: its line, or that of the nearest key above it
// that the file has.
func (d *document) at(p Problem) error {
	text := strings.Join(p.keys, ".") + ": " + p.text
	for n := len(p.keys); n > 0; n-- {
		if node := d.find(p.keys[:n]); node != nil {
			return d.line(node, text)
		}
	}
	return errors.New(text)
}
