package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/invopop/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/consumers/forward"
	"github.com/hookspan/hookspan/internal/adminapi"
)

var update = flag.Bool("update", false, "write schema.json anew")

// The schema that is served is the one that the types make.
func TestSchemaIsUpToDate(t *testing.T) {
	made := makeSchema(t)
	if *update {
		require.NoError(t, os.WriteFile("schema.json", made, 0o644)) //nolint:gosec // it is a source file
		return
	}
	require.Equal(t, string(made), string(Schema()), "run: go test ./bridge/config -run TestSchemaIsUpToDate -update")
}

// words are what the values of keys, or of their elements, can be.
var words = map[string][]string{
	"Config.roles": roles, "Log.level": logLevels, "Log.format": logFormats, "Log.deliveries": logDeliveries, "Ingress.ack": ackModes, "NATS.provision": provisionModes,
	"Source.kind": source.Kinds(), "Filter.event": eventKinds, "Forward.mode": forward.Modes,
	"Token.scopes": adminapi.Scopes(),
}

// forms are the schemas of types whose text Go does not tell.
var forms = map[reflect.Type]*jsonschema.Schema{
	reflect.TypeFor[Duration]():  orZero(`^(0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)$`),
	reflect.TypeFor[Rate]():      orZero(`^(0|[1-9][0-9]*/[smh])$`),
	reflect.TypeFor[SecretRef](): {Type: "string", Pattern: `^(env|file):.+$`},
	reflect.TypeFor[ByteSize]():  {AnyOf: []*jsonschema.Schema{{Type: "integer", Minimum: "0"}, {Type: "string", Pattern: `^[0-9][0-9.,]* ?([KkMmGgTtPpEe][Ii]?)?[Bb]?$`}}},
	reflect.TypeFor[Strings]():   {AnyOf: []*jsonschema.Schema{{Type: "string"}, {Type: "array", Items: &jsonschema.Schema{Type: "string"}}}},
	reflect.TypeFor[Consumers](): nil, // see consumersSchema
}

func orZero(pattern string) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string", Pattern: pattern}, {Const: 0}}}
}

const namePattern = `^[a-z0-9][a-z0-9_-]{0,31}$`

func makeSchema(t *testing.T) []byte {
	t.Helper()
	r := jsonschema.Reflector{
		FieldNameTag: "yaml", Anonymous: true, RequiredFromJSONSchemaTags: true,
		Mapper: func(typ reflect.Type) *jsonschema.Schema {
			if _, ok := forms[typ]; ok {
				return reference(typ.Name())
			}
			return nil
		},
	}
	require.NoError(t, r.AddGoComments(reflect.TypeFor[Config]().PkgPath(), ".", jsonschema.WithFullComment()))
	r.LookupComment = func(typ reflect.Type, field string) string {
		comment := strings.Join(strings.Fields(r.CommentMap[strings.TrimSuffix(typ.PkgPath()+"."+typ.Name()+"."+field, ".")]), " ")
		if field == "" {
			return comment
		}
		f, _ := typ.FieldByName(field)
		return f.Tag.Get("yaml") + strings.TrimPrefix(comment, field)
	}
	root := r.Reflect(&Config{})
	defs := root.Definitions
	for typ, form := range forms {
		defs[typ.Name()] = form
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		maps.Copy(defs, r.Reflect(kinds[kind]()).Definitions)
	}
	*root = *defs["Config"]
	delete(defs, "Config")
	root.Version, root.Definitions, root.Title = jsonschema.Version, defs, "Configuration of Hookspan"
	defs["Consumers"], defs["Consumer"] = consumersSchema()
	for path, values := range words {
		name, key, _ := strings.Cut(path, ".")
		of := property(root, name, key)
		if of.Items != nil {
			of = of.Items
		}
		for _, word := range values {
			of.Enum = append(of.Enum, word)
		}
	}
	replicas := property(root, "NATS", "replicas")
	replicas.Type, replicas.AnyOf = "", []*jsonschema.Schema{{Const: autoReplicas}, {Type: "integer", Minimum: "1", Maximum: json.Number(fmt.Sprint(maxReplicas))}}
	for kind, empty := range kinds {
		name := reflect.TypeOf(empty()).Elem().Name()
		property(root, name, "kind").Const = kind
		property(root, name, "start").Pattern = `^(all|new|[0-9]{4}-[0-9]{2}-[0-9]{2}T.+)$`
	}
	property(root, "Config", "sources").PropertyNames = &jsonschema.Schema{Pattern: namePattern}
	addDefaults(root)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(root))
	return out.Bytes()
}

func reference(name string) *jsonschema.Schema { return &jsonschema.Schema{Ref: "#/$defs/" + name} }

// consumersSchema says that the kind of a consumer decides about its keys.
func consumersSchema() (all, one *jsonschema.Schema) {
	hasKind := &jsonschema.Schema{Required: []string{"kind"}}
	one = &jsonschema.Schema{Type: "object", Properties: jsonschema.NewProperties(), Required: hasKind.Required}
	kind := &jsonschema.Schema{Description: "What the consumer does."}
	one.Properties.Set("kind", kind)
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		kind.Enum = append(kind.Enum, name)
		is := &jsonschema.Schema{Properties: jsonschema.NewProperties()}
		is.Properties.Set("kind", &jsonschema.Schema{Const: name})
		one.AllOf = append(one.AllOf, &jsonschema.Schema{If: is, Then: reference(reflect.TypeOf(kinds[name]()).Elem().Name())})
	}
	all = &jsonschema.Schema{
		Type: "object", Properties: jsonschema.NewProperties(),
		PropertyNames: &jsonschema.Schema{Pattern: namePattern}, AdditionalProperties: reference("Consumer"),
	}
	all.Properties.Set(defaultConsumer, &jsonschema.Schema{If: hasKind, Then: reference("Consumer"), Else: reference("Archive")})
	return all, one
}

// property is a key of a type; Config is the whole file.
func property(root *jsonschema.Schema, name, key string) *jsonschema.Schema {
	of := root
	if name != "Config" {
		of = root.Definitions[name]
	}
	p, ok := of.Properties.Get(key)
	if !ok {
		panic("there is no key " + key + " in " + name)
	}
	return p
}

// addDefaults tells of each key what it is when the file does not say it.
func addDefaults(root *jsonschema.Schema) {
	cfg := defaults()
	cfg.Admin.Listen, cfg.NATS.Listen = new(DefaultAdminListen), new(DefaultNATSListen)
	addDefaultsOf(root, reflect.ValueOf(*cfg))
	s := Source{API: API{Key: "env:K"}}
	s.fill()
	s.API.Key = ""
	addDefaultsOf(root, reflect.ValueOf(s))
	cfg.Sources = map[string]Source{defaultSource: s}
	for _, empty := range kinds {
		cons := empty()
		cons.fill(cfg)
		addDefaultsOf(root, reflect.ValueOf(cons).Elem())
	}
}

func addDefaultsOf(root *jsonschema.Schema, v reflect.Value) {
	for _, f := range reflect.VisibleFields(v.Type()) {
		key, value := f.Tag.Get("yaml"), v.FieldByIndex(f.Index)
		switch {
		case f.Anonymous || key == "-" || value.IsZero() || value.Kind() == reflect.Map:
		case value.Kind() == reflect.Struct:
			// The keys of filter and retry are shared by all kinds, and have no one default.
			if f.Type != reflect.TypeFor[Filter]() && f.Type != reflect.TypeFor[Retry]() {
				addDefaultsOf(root, value)
			}
		default:
			property(root, v.Type().Name(), key).Default = written(reflect.Indirect(value).Interface())
		}
	}
}

// written is a value as people write it.
func written(v any) any {
	switch v := v.(type) {
	case Duration:
		text := time.Duration(v).String()
		for _, zero := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(text, zero) {
				text = text[:len(text)-2]
			}
		}
		return text
	case ByteSize:
		return strings.Replace(strings.ReplaceAll(v.String(), " ", ""), ".0", "", 1)
	case Rate:
		return fmt.Sprintf("%v/s", float64(v))
	}
	return v
}
