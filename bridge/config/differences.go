package config

import (
	"reflect"
	"slices"
	"strings"
)

// RestartKeys names the keys that differ and take effect only after a restart: all but the
// sources and the tokens.
func RestartKeys(running, next *Config) []string {
	a, b := *running, *next
	a.Sources, b.Sources = nil, nil
	a.Admin.Tokens, b.Admin.Tokens = nil, nil
	return Differences("", a, b)
}

// Differences names the innermost keys whose values differ between two parts of one type, in
// order. Key is the key of the part.
func Differences(key string, a, b any) []string {
	return differences(key, reflect.ValueOf(a), reflect.ValueOf(b))
}

func differences(key string, a, b reflect.Value) []string {
	if reflect.DeepEqual(a.Interface(), b.Interface()) {
		return nil
	}
	var found []string
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			switch name := a.Type().Field(i).Tag.Get("yaml"); name {
			case "-": // no key
			case inline:
				found = append(found, differences(key, a.Field(i), b.Field(i))...)
			default:
				found = append(found, differences(strings.TrimPrefix(key+"."+name, "."), a.Field(i), b.Field(i))...)
			}
		}
	case reflect.Interface, reflect.Pointer:
		if a.IsNil() || b.IsNil() || a.Elem().Type() != b.Elem().Type() {
			return []string{key}
		}
		return differences(key, a.Elem(), b.Elem())
	case reflect.Map:
		for _, name := range append(a.MapKeys(), b.MapKeys()...) {
			inner := key + "." + name.String()
			before, after := a.MapIndex(name), b.MapIndex(name)
			switch {
			case slices.Contains(found, inner):
			case before.IsValid() && after.IsValid():
				found = append(found, differences(inner, before, after)...)
			default:
				found = append(found, inner)
			}
		}
		slices.Sort(found)
		found = slices.Compact(found)
	default:
		found = append(found, key)
	}
	return found
}

// inline is the tag of a struct whose keys stand among those around it.
const inline = ",inline"
