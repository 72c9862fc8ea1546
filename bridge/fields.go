package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/jsonvalue"
)

// WholeBody is the pointer of [Fields] to all of a body.
const WholeBody = jsonvalue.Whole

// Fields says where the body of an event has what its prediction consists of, as JSON pointers
// (RFC 6901); an empty one is nowhere. The zero value is the body of Get3W and WaveSpeedAI:
// /outputs, /error, /created_at, /completed_at, /timings and /input. The id, the model and the
// status are attributes of the event.
//
// The outputs of a body with other fields are what stands at Outputs: a text, each item of a
// list, or of an object what is an address: the object itself when its member "url" or "uri" is
// one, else what its members hold. A value that holds no address is an output itself.
type Fields struct {
	Outputs     string
	Error       string
	CreatedAt   string
	CompletedAt string
	// Inference points to the seconds for which the model ran.
	Inference string
}

// names of the fields in a header, in order.
func (f *Fields) named() []namedField {
	return []namedField{
		{"outputs", &f.Outputs}, {"error", &f.Error}, {"created_at", &f.CreatedAt}, {"completed_at", &f.CompletedAt}, {"inference", &f.Inference},
	}
}

type namedField struct {
	name  string
	value *string
}

// String returns the fields as the header [HeaderFields] has them: "outputs=/output error=/error".
func (f Fields) String() string {
	var parts []string
	for _, field := range f.named() {
		if *field.value != "" {
			parts = append(parts, field.name+"="+strings.ReplaceAll(*field.value, " ", "%20"))
		}
	}
	return strings.Join(parts, " ")
}

// parseFields reads what String writes; unknown names are ignored.
func parseFields(text string) (Fields, error) {
	var f Fields
	named := f.named()
	for part := range strings.FieldsSeq(text) {
		name, pointer, ok := strings.Cut(part, "=")
		if !ok || pointer != WholeBody && !strings.HasPrefix(pointer, "/") {
			return Fields{}, fmt.Errorf("%q is not a name and a JSON pointer", part)
		}
		if i := slices.IndexFunc(named, func(n namedField) bool { return n.name == name }); i >= 0 {
			*named[i].value = strings.ReplaceAll(pointer, "%20", " ")
		}
	}
	return f, nil
}

// predictionAt reads a body with the fields.
func predictionAt(body []byte, f Fields) (*Prediction, error) {
	fields, err := jsonvalue.Members(body)
	if err != nil {
		return nil, err
	}
	return &Prediction{
		Outputs:     collectOutputs(jsonvalue.In(body, fields, f.Outputs)),
		Error:       message(jsonvalue.In(body, fields, f.Error)),
		Input:       fields["input"],
		CreatedAt:   jsonvalue.AnyTime(jsonvalue.In(body, fields, f.CreatedAt)),
		CompletedAt: jsonvalue.AnyTime(jsonvalue.In(body, fields, f.CompletedAt)),
		Inference:   seconds(jsonvalue.In(body, fields, f.Inference)),
	}, nil
}

// collectOutputs returns the outputs that a JSON value holds, see [Fields].
func collectOutputs(raw json.RawMessage) []Output {
	raw = bytes.TrimSpace(raw)
	if jsonvalue.Nothing(raw) {
		return nil
	}
	if raw[0] == '[' {
		var out []Output
		var list []json.RawMessage
		_ = json.Unmarshal(raw, &list) // the body is JSON
		for _, item := range list {
			out = append(out, collectOutputs(item)...)
		}
		return out
	}
	if found := addresses(raw); len(found) > 0 {
		return found
	}
	return []Output{{Raw: raw}}
}

// addresses returns the outputs with an address that a value holds.
func addresses(raw json.RawMessage) (out []Output) {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0:
	case raw[0] == '"':
		if s := jsonvalue.Text(raw); IsURL(s) {
			return []Output{{URL: s, Raw: raw}}
		}
	case raw[0] == '[':
		var list []json.RawMessage
		_ = json.Unmarshal(raw, &list)
		for _, item := range list {
			out = append(out, addresses(item)...)
		}
	case raw[0] == '{':
		fields, _ := jsonvalue.Members(raw)
		for _, name := range []string{"url", "uri"} {
			if s := jsonvalue.Text(fields[name]); IsURL(s) {
				return []Output{{URL: s, Raw: raw}}
			}
		}
		names := make([]string, 0, len(fields))
		for name := range fields {
			names = append(names, name)
		}
		slices.Sort(names) // the order of members means nothing
		for _, name := range names {
			out = append(out, addresses(fields[name])...)
		}
	}
	return out
}

// message returns the text of a provider's message: a string's text, the member "message" or
// "msg" of an object, else the JSON.
func message(raw json.RawMessage) string {
	if jsonvalue.Nothing(raw) {
		return ""
	}
	for _, pointer := range []string{jsonvalue.Whole, "/message", "/msg"} {
		if s := jsonvalue.Text(jsonvalue.At(raw, pointer)); s != "" {
			return s
		}
	}
	return string(raw)
}

func seconds(raw json.RawMessage) time.Duration {
	var s float64
	if json.Unmarshal(raw, &s) != nil || s < 0 || s > 1e9 {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}
