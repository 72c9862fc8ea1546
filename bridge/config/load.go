package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/hookspan/hookspan/internal/pasted"
	"github.com/hookspan/hookspan/internal/smallfile"
)

// MaxConfigBytes bounds the configuration file.
const MaxConfigBytes = 1 << 20

// Load reads the file at path; an empty path makes the default configuration. The result is
// complete and checked. An error names file, line and remedy, and repeats only keys of the file:
// a value can be a secret that was written in the wrong place.
func Load(path string) (*Config, error) {
	cfg, _, err := LoadDocument(path, Flags{})
	return cfg, err
}

// LoadDocument is [Load] that also returns the document, which knows the line of each key. Flags
// are the keys that the command line sets, which the file does not change.
func LoadDocument(path string, flags Flags) (*Config, *Document, error) {
	cfg := defaults()
	doc := &Document{name: path, flags: flags}
	if path != "" {
		text, err := readConfig(path)
		if err != nil {
			return nil, nil, err
		}
		if err := doc.decode(text, cfg); err != nil {
			return nil, nil, err
		}
	}
	flags.set(cfg)
	cfg.fill()
	if cfg.DataDir != "" {
		cfg.DataDir = Absolute(cfg.DataDir)
	}
	if err := doc.Join(cfg.problems()); err != nil {
		return nil, nil, err
	}
	return cfg, doc, nil
}

// Join joins the problems into one error, each with its line; nil for none.
func (d *Document) Join(problems []Problem) error {
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = d.at(p)
	}
	return errors.Join(errs...)
}

func readConfig(path string) ([]byte, error) {
	text, err := smallfile.Read(path, MaxConfigBytes)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if text, err = pasted.Text(text); err != nil {
		return nil, fmt.Errorf("reading the configuration: %s: %w", path, err)
	}
	return text, nil
}

// Flags are keys of the configuration that the command line can set, so that one file serves
// processes with different roles. An empty one is not set.
type Flags struct {
	// Roles and Only are what [Config.Roles] and [Config.Only] are.
	Roles, Only []string
}

func (f Flags) set(cfg *Config) {
	if len(f.Roles) > 0 {
		cfg.Roles = slices.Clone(f.Roles)
	}
	if len(f.Only) > 0 {
		cfg.Only = slices.Clone(f.Only)
	}
}

// has reports whether a flag sets the key.
func (f Flags) has(key string) bool {
	return key == "roles" && len(f.Roles) > 0 || key == "only" && len(f.Only) > 0
}

// Document is a file that was read, with the line of each key.
type Document struct {
	name  string
	file  *ast.File
	flags Flags
}

func (d *Document) decode(text []byte, cfg *Config) error {
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

func (d *Document) explain(err error) error {
	if value, ok := errors.AsType[*valueError](err); ok {
		return d.line(value.node, value.text)
	}
	if unknown, ok := errors.AsType[*yaml.UnknownFieldError](err); ok {
		pos := unknown.Token.Position
		return fmt.Errorf("%s:%d:%d: %q is not a key here: check its spelling and its indentation", d.name, pos.Line, pos.Column, unknown.Token.Value)
	}
	if typed, ok := errors.AsType[*yaml.TypeError](err); ok {
		// The library's text names Go types.
		pos := typed.Token.Position
		return fmt.Errorf("%s:%d:%d: a value of another type belongs here", d.name, pos.Line, pos.Column)
	}
	if known, ok := errors.AsType[yaml.Error](err); ok {
		pos := known.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", d.name, pos.Line, pos.Column, known.GetMessage())
	}
	return fmt.Errorf("%s: %w", d.name, err)
}

func (d *Document) line(node ast.Node, text string) error {
	pos := node.GetToken().Position
	return fmt.Errorf("%s:%d:%d: %s", d.name, pos.Line, pos.Column, text)
}

func (d *Document) find(keys []string) ast.Node {
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

// at adds the line of the problem's key, or of the nearest key above it that the file has.
func (d *Document) at(p Problem) error {
	if d.flags.has(p.keys[0]) {
		return fmt.Errorf("--%s: %s", p.keys[0], p.text)
	}
	for n := len(p.keys); n > 0; n-- {
		if node := d.find(p.keys[:n]); node != nil {
			return d.line(node, p.Error())
		}
	}
	return p
}
