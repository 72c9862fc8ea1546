package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/hookspan/hookspan/internal/pasted"
	"github.com/hookspan/hookspan/internal/smallfile"
)

// SecretRef is the place of a secret: env:NAME or file:PATH. It is never the secret itself, so
// it may be shown.
type SecretRef string

// maxSecret bounds the file of a secret, in bytes.
const maxSecret = 64 << 10

// UnmarshalYAML reads a value of the file.
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
	if err := r.UnmarshalText([]byte(text)); err != nil {
		return &valueError{node, err.Error()}
	}
	return nil
}

// UnmarshalText reads a flag. The text may be the secret itself, so the error does not repeat
// it.
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

// Absolute makes the path of a file absolute, so that it holds in every folder.
func (r SecretRef) Absolute() SecretRef {
	if path, ok := strings.CutPrefix(string(r), "file:"); ok {
		return SecretRef("file:" + Absolute(path))
	}
	return r
}

// Require is [SecretRef.Resolve] with an error for an empty secret.
func (r SecretRef) Require(getenv func(string) (string, bool)) ([]byte, error) {
	secret, err := r.Resolve(getenv)
	if err == nil && len(secret) == 0 {
		err = fmt.Errorf("the secret %s is empty or not set: set it", r)
	}
	return secret, err
}

// Resolve returns the secret. A missing or empty environment variable is an empty secret and no
// error; a missing file is an error. A byte order mark and one line break at the end of a file
// are removed, since editors add them. Anything else that was pasted with the secret is an
// error.
func (r SecretRef) Resolve(getenv func(string) (string, bool)) ([]byte, error) {
	secret, err := r.Unchecked(getenv)
	if err != nil {
		return nil, err
	}
	if err := pasted.Check(secret); err != nil {
		return nil, fmt.Errorf("the secret %s cannot be used: %w", r, err)
	}
	return secret, nil
}

// Unchecked is [SecretRef.Resolve] that also returns a secret with something pasted around it. It
// is for a diagnosis, since a bridge refuses that secret.
func (r SecretRef) Unchecked(getenv func(string) (string, bool)) ([]byte, error) {
	kind, name, _ := strings.Cut(string(r), ":")
	if kind == "env" {
		value, _ := getenv(name)
		return []byte(value), nil
	}
	secret, err := readSecret(name)
	if err != nil {
		return nil, fmt.Errorf("reading a secret: %w", err)
	}
	return secret, nil
}

func readSecret(name string) ([]byte, error) {
	text, err := smallfile.Read(name, maxSecret)
	if err != nil {
		return nil, err
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

// SecretFiles returns the files whose secrets are read again while the bridge runs: those of
// sources, of their APIs, of consumers and of tokens, as far as this process uses them.
func (c *Config) SecretFiles() []string {
	var refs []SecretRef
	if c.Has(RoleIngress) {
		for _, s := range c.Sources {
			refs = slices.Concat(refs, s.Secrets, s.RetiredSecrets, []SecretRef{s.PathToken})
		}
	}
	for _, s := range c.Sources {
		if c.AsksProviders() {
			refs = append(refs, s.API.Key)
		}
		if c.Submits() {
			refs = append(refs, s.PathToken)
		}
	}
	for name, cons := range c.Consumers {
		if f, ok := cons.(*Forward); ok && c.Runs(name) {
			signing, _ := f.Signing()
			refs = append(refs, signing...)
		}
	}
	if c.Has(RoleAdmin) {
		for _, t := range c.Admin.Tokens {
			refs = append(refs, t.Secret)
		}
	}
	var files []string
	for _, ref := range refs {
		if path, ok := strings.CutPrefix(string(ref), "file:"); ok {
			files = append(files, path)
		}
	}
	return files
}
