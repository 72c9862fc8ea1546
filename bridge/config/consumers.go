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

// decode adds one consumer; unmarshal is nil for a consumer without any key. A consumer that is
// switched off may have an unknown kind, and is left out then.
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
	empty, known := kinds[kind]
	if !known {
		enabled := true
		if err := decodeKey(keys["enabled"], &enabled); err != nil || !enabled {
			return err
		}
		return Problem{[]string{"consumers", name, "kind"}, "use " + strings.Join(slices.Sorted(maps.Keys(kinds)), ", ")}
	}
	cons := empty()
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !keysOf(cons)[key] && isKeyOfAKind(key) {
			return Problem{[]string{"consumers", name, key}, "a consumer of kind " + kind + " has no such key"}
		}
	}
	if err := unmarshal(cons); err != nil {
		return err
	}
	cons.Base().Kind = kind
	c[name] = cons
	return nil
}

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
