package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers/archive"
	"github.com/hookspan/hookspan/consumers/forward"
)

// Setting is one key with the value in use.
type Setting struct {
	Key string `json:"key"`
	// Value is a string, a number, a bool, or a list of these or of maps. Secrets are places,
	// never the secrets themselves, and parts that may hold one are cut.
	Value any `json:"value"`
	// Line is that of the key in the file, 0 for a default or a flag.
	Line int `json:"line,omitempty"`
	// Flag: the command line sets it.
	Flag bool `json:"flag,omitempty"`
}

// Settings returns every key that has a value, defaults too, in the order of the file's types.
func (d *Document) Settings(cfg *Config) []Setting {
	shown := *cfg
	shown.Admin.Listen, shown.NATS.Listen = listening(cfg.Admin.ListenAddress), listening(cfg.NATS.ListenAddress)
	if cfg.NATS.External() {
		shown.NATS.Listen = nil
	}
	var out []Setting
	walk(nil, reflect.ValueOf(shown), func(keys []string, value any) {
		s := Setting{Key: strings.Join(keys, "."), Value: value}
		s.Flag = d.flags.has(s.Key)
		if node := d.find(keys); node != nil && !s.Flag {
			s.Line = node.GetToken().Position.Line
		}
		out = append(out, s)
	})
	return out
}

func listening(address func() (string, bool)) *string {
	text, _ := address()
	return &text
}

// cutTag is the tag of fields that may hold a secret: of an address the host is shown, and of a
// list the first entry.
const cutTag = "cut"

// cutMark stands for what is cut.
const cutMark = "…"

func walk(keys []string, v reflect.Value, tell func(keys []string, value any)) {
	switch v.Kind() {
	case reflect.Struct:
		if api, is := reflect.TypeAssert[API](v); is && api.Key == "" {
			return // nothing is asked
		}
		v = inUse(v)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name, inner := field.Tag.Get("yaml"), v.Field(i)
			switch {
			case name == "-":
			case name == inline:
				walk(keys, inner, tell)
			case field.Tag.Get(cutTag) != "":
				tell(append(slices.Clip(keys), name), cut(inner))
			default:
				walk(append(slices.Clip(keys), name), inner, tell)
			}
		}
	case reflect.Map:
		names := v.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, name := range names {
			walk(append(slices.Clip(keys), name.String()), v.MapIndex(name), tell)
		}
	case reflect.Interface, reflect.Pointer:
		switch {
		case v.IsNil():
		case v.Elem().Kind() == reflect.String && v.Elem().Len() == 0:
			tell(keys, "") // not the default
		default:
			walk(keys, v.Elem(), tell)
		}
	default:
		if value := plain(v); value != nil {
			tell(keys, value)
		}
	}
}

// inUse fills the defaults that the packages of consumers fill for themselves.
func inUse(v reflect.Value) reflect.Value {
	switch c := v.Interface().(type) {
	case Retry:
		r := c.Retry().WithDefaults()
		return reflect.ValueOf(Retry{First: Duration(r.First), Max: Duration(r.Max), GiveUpAfter: Duration(r.GiveUpAfter)})
	case Filter:
		c.Event = cmp.Or(c.Event, bridge.KindPrediction)
		if c.Event == bridge.KindPrediction && len(c.Status) == 0 {
			c.Status = Strings{bridge.StatusCompleted, bridge.StatusFailed}
		}
		return reflect.ValueOf(c)
	case Archive:
		c.Parallel = cmp.Or(c.Parallel, archive.DefaultParallel)
		return reflect.ValueOf(c)
	case Forward:
		c.Mode, c.ConnectTimeout = cmp.Or(c.Mode, string(forward.Binary)), cmp.Or(c.ConnectTimeout, Duration(forward.DefaultConnectTimeout))
		if c.Refuse == nil {
			c.Refuse = forward.DefaultRefuse
		}
		return reflect.ValueOf(c)
	}
	return v
}

// plain returns a value as it is written in the file, nil for an empty text or list.
func plain(v reflect.Value) any {
	switch value := v.Interface().(type) {
	case ByteSize:
		return value.exact()
	case Duration:
		return value.exact()
	case Rate:
		return value.exact()
	}
	kind := v.Kind()
	if (kind == reflect.String || kind == reflect.Slice) && v.Len() == 0 {
		return nil
	}
	if kind == reflect.String {
		return v.String()
	}
	if kind == reflect.Slice {
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	}
	if kind == reflect.Struct {
		fields := map[string]any{}
		walk(nil, v, func(keys []string, value any) { fields[strings.Join(keys, ".")] = value })
		return fields
	}
	return v.Interface()
}

func cut(v reflect.Value) any {
	if v.Kind() == reflect.Slice {
		list := []any{v.Index(0).String()} // a required list, which was checked
		if v.Len() > 1 {
			list = append(list, cutMark)
		}
		return list
	}
	u, err := url.Parse(v.String())
	if err != nil {
		return cutMark
	}
	text := u.Scheme + "://" + u.Host
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		text += "/" + cutMark
	}
	return text
}

// exact is the size as the file may have it.
func (b ByteSize) exact() any {
	for _, unit := range []struct {
		name string
		size ByteSize
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if b != 0 && b%unit.size == 0 {
			return fmt.Sprintf("%d%s", b/unit.size, unit.name)
		}
	}
	return int64(b)
}

func (d Duration) exact() string {
	text := time.Duration(d).String()
	if rest, ok := strings.CutSuffix(text, "m0s"); ok {
		text = rest + "m"
	}
	if rest, ok := strings.CutSuffix(text, "h0m"); ok {
		text = rest + "h"
	}
	return text
}

func (r Rate) exact() any {
	for _, unit := range []struct {
		name    string
		seconds float64
	}{{"s", 1}, {"m", 60}, {"h", 3600}} {
		if n := math.Round(float64(r) * unit.seconds); n > 0 && math.Abs(n/unit.seconds-float64(r)) < 1e-9*float64(r) {
			return fmt.Sprintf("%.0f/%s", n, unit.name)
		}
	}
	return 0 // no limit
}

// Text returns the settings as a file, each with the place that it comes from. Name is that of
// the file.
func Text(settings []Setting, name string) string {
	var out strings.Builder
	var above []string
	for _, s := range settings {
		keys := strings.Split(s.Key, ".")
		last := len(keys) - 1
		same := 0
		for same < last && same < len(above) && above[same] == keys[same] {
			same++
		}
		for i := same; i < last; i++ {
			fmt.Fprintf(&out, "%s%s:\n", strings.Repeat("  ", i), keys[i])
		}
		above = keys[:last]
		from := "default"
		switch {
		case s.Flag:
			from = "--" + s.Key
		case s.Line > 0:
			from = fmt.Sprintf("%s:%d", name, s.Line)
		}
		fmt.Fprintf(&out, "%s%s: %s  # %s\n", strings.Repeat("  ", last), keys[last], inYAML(s.Value), from)
	}
	return out.String()
}

// word matches texts that YAML reads as that text, except those in reserved.
var (
	word     = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*$|^[0-9]+([KMG]iB|h|m|s)$|^[0-9.]+(h|m|s|ms)([0-9.hms]*)$|^[0-9]+/[smh]$`)
	reserved = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
)

// inYAML is a value in YAML, in one line.
func inYAML(value any) string {
	switch v := value.(type) {
	case string:
		if word.MatchString(v) && !slices.Contains(reserved, strings.ToLower(v)) {
			return v
		}
	case []any:
		list := make([]string, len(v))
		for i, one := range v {
			list[i] = inYAML(one)
		}
		return "[" + strings.Join(list, ", ") + "]"
	case map[string]any:
		var list []string
		for name, one := range v {
			list = append(list, name+": "+inYAML(one))
		}
		slices.Sort(list)
		return "{" + strings.Join(list, ", ") + "}"
	}
	text, _ := json.Marshal(value) // every value can be written
	return string(text)
}
