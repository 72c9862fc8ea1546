package config

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Consumers are the consumers of the file by name.
type Consumers map[string]Consumer

type deferred func(into any) error

func (d *deferred) UnmarshalYAML(unmarshal func(any) error) error {
	*d = unmarshal
	return nil
}

// UnmarshalYAML decodes each consumer as its kind says.
func (c *Consumers) UnmarshalYAML(unmarshal func(any) error) error {
	var named map[string]deferred
	if err := unmarshal(&named); err != nil {
		return err
	}
	*c = Consumers{}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if err := c.decode(name, named[name]); err != nil {
			return err
		}
	}
	return nil
}

// decode adds one consumer; unmarshal is nil for one without any key. A consumer that cannot
// be decoded as its kind says is added as [invalid], so that the check of the configuration
// tells of it together with everything else, unless it is switched off.
func (c Consumers) decode(name string, unmarshal deferred) error {
	if unmarshal == nil {
		unmarshal = func(any) error { return nil }
	}
	var keys map[string]ast.Node
	if err := unmarshal(&keys); err != nil {
		return err
	}
	var kind string
	if err := decodeKey(keys["kind"], &kind); err != nil {
		return err
	}
	if name == defaultConsumer {
		kind = cmp.Or(kind, KindArchive)
	}
	wrong := &invalid{Common: Common{Kind: kind, Start: "new"}}
	enabled := true
	if err := decodeKey(keys["enabled"], &enabled); err != nil {
		return err
	}
	wrong.Enabled = &enabled
	empty, known := kinds[kind]
	if !known {
		wrong.problems.Fail("consumers."+name+".kind", "use %s", strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		c[name] = wrong
		return nil
	}
	cons, strange := empty(), false
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		switch {
		case keysOf(cons)[key]:
		case isKeyOfAKind(key):
			wrong.problems.Fail("consumers."+name+"."+key, "a consumer of kind %s has no such key", kind)
		default:
			strange = true // the library says where
		}
	}
	if len(wrong.problems) > 0 && !strange {
		c[name] = wrong
		return nil
	}
	if err := unmarshal(cons); err != nil {
		return err
	}
	cons.Base().Kind = kind
	c[name] = cons
	return nil
}

// invalid is a consumer that cannot be used. Its check says why.
type invalid struct {
	Common

	problems Checker
}

// Does implements [Consumer].
func (*invalid) Does(*Config) string { return "" }

func (*invalid) fill(*Config) {}

func (v *invalid) check(_ *Config, _ string, found *Checker) { *found = append(*found, v.problems...) }

// decodeKey decodes the value of a key that may be absent.
func decodeKey(node ast.Node, into any) error {
	if node == nil {
		return nil
	}
	return yaml.NodeToValue(node, into)
}

func keysOf(cons Consumer) map[string]bool {
	keys := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(cons).Elem()) {
		if name := f.Tag.Get("yaml"); !f.Anonymous && name != "-" {
			keys[name] = true
		}
	}
	return keys
}

func isKeyOfAKind(key string) bool {
	for _, empty := range kinds {
		if keysOf(empty())[key] {
			return true
		}
	}
	return false
}

// defaultConsumer stands beside those of the file, unless the file switches it off.
const defaultConsumer = "archive"

// enabled returns the consumers with the default one and without those that are switched off.
func (c Consumers) enabled() Consumers {
	out := Consumers{defaultConsumer: &Archive{Common: Common{Kind: KindArchive, Implied: true}}}
	maps.Copy(out, c)
	maps.DeleteFunc(out, func(_ string, cons Consumer) bool {
		enabled := cons.Base().Enabled
		return enabled != nil && !*enabled
	})
	return out
}
