package config

import (
	"reflect"
	"slices"
	"strings"
)

// RestartKeys names the keys that differ and cannot change while the process
// runs: all but the sources.
func RestartKeys(running, next *Config) []string {
	a, b := *running, *next
	a.Sources, b.Sources = nil, nil
	return Differences("", reflect.ValueOf(a), reflect.ValueOf(b))
}

// Differences names the innermost keys whose values differ, in order.
func Differences(key string, a, b reflect.Value) []string {
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
				found = append(found, Differences(key, a.Field(i), b.Field(i))...)
			default:
				found = append(found, Differences(strings.TrimPrefix(key+"."+name, "."), a.Field(i), b.Field(i))...)
			}
		}
	case reflect.Interface, reflect.Pointer:
		if a.IsNil() || b.IsNil() || a.Elem().Type() != b.Elem().Type() {
			return []string{key}
		}
		return Differences(key, a.Elem(), b.Elem())
	case reflect.Map:
		for _, name := range append(a.MapKeys(), b.MapKeys()...) {
			inner := key + "." + name.String()
			before, after := a.MapIndex(name), b.MapIndex(name)
			switch {
			case slices.Contains(found, inner):
			case before.IsValid() && after.IsValid():
				found = append(found, Differences(inner, before, after)...)
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
