package config

import (
	"reflect"
	"slices"
	"strings"
)

// restartKeys names the keys that differ and cannot change while the process
// runs: all but the sources.
func RestartKeys(running, next *Config) []string {
	a, b := *running, *next
	a.Sources, b.Sources = nil, nil
	return Differences("", reflect.ValueOf(a), reflect.ValueOf(b))
}

// differences names the innermost keys whose values differ, in order.
func Differences(key string, a, b reflect.Value) []string {
	if reflect.DeepEqual(a.Interface(), b.Interface()) {
		return nil
	}
	var found []string
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			name := a.Type().Field(i).Tag.Get("yaml")
			if name == "-" {
				continue // no key
			}
			found = append(found, Differences(strings.TrimPrefix(key+"."+name, "."), a.Field(i), b.Field(i))...)
		}
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
