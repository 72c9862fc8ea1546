package bridge

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Prediction is the provider's task as the Get3W and WaveSpeedAI APIs write it. Absent
// fields and fields of an undocumented type are zero: the provider may add and change
// fields, and the body keeps them all.
type Prediction struct {
	ID    string
	Model string
	// Status is as the provider wrote it, not normalised.
	Status  string
	Outputs []Output
	// Error is the provider's message about a failed prediction: a string's text, or the
	// JSON of any other value.
	Error string
	// Input is the JSON input of the prediction, when the provider repeats it.
	Input json.RawMessage

	CreatedAt   time.Time
	CompletedAt time.Time
	// Inference is how long the model ran (timings.inference, milliseconds).
	Inference time.Duration
}

// Output is one result of a prediction.
type Output struct {
	// URL is set for an http or https address. The provider deletes its content after a
	// while.
	URL string
	// Raw is the output as JSON.
	Raw json.RawMessage
}

// ParsePrediction reads a JSON object. Names match exactly: "ID" is not "id". It returns an
// error when body is not one JSON object; a missing id or status is no error.
func ParsePrediction(body []byte) (*Prediction, error) {
	fields, err := members(body)
	if err != nil {
		return nil, err
	}
	return NewPrediction(fields), nil
}

// members is json.Unmarshal into a map, in half of the time.
func members(body []byte) (map[string]json.RawMessage, error) {
	rest := bytes.TrimLeft(body, jsonSpace)
	if len(rest) == 0 || rest[0] != '{' || !json.Valid(body) {
		fields, err := parse[map[string]json.RawMessage](body) // for its error
		if err != nil {
			return nil, err
		}
		return *fields, nil
	}
	fields := make(map[string]json.RawMessage, 12)
	for rest = bytes.TrimLeft(rest[1:], jsonSpace); rest[0] != '}'; {
		name := rest[:valueLen(rest)]
		rest = bytes.TrimLeft(rest[len(name):], jsonSpace+":")
		value := rest[:valueLen(rest)]
		rest = bytes.TrimLeft(rest[len(value):], jsonSpace+",")
		fields[text(name)] = bytes.Clone(value)
	}
	return fields, nil
}

const jsonSpace = " \t\r\n"

// valueLen returns the length of the JSON value that b begins with; b is part of valid JSON.
func valueLen(b []byte) int {
	for at, depth := 0, 0; ; {
		switch b[at] {
		case '{', '[':
			depth++
			at++
		case '}', ']':
			depth--
			at++
		case '"':
			for at++; b[at] != '"'; at++ {
				if b[at] == '\\' {
					at++
				}
			}
			at++
		default:
			if at++; depth == 0 { // a number, true, false or null
				return at + bytes.IndexAny(b[at:], jsonSpace+",}]")
			}
		}
		if depth == 0 {
			return at
		}
	}
}

// NewPrediction is [ParsePrediction] for known fields, each value being JSON without
// surrounding space.
func NewPrediction(fields map[string]json.RawMessage) *Prediction {
	p := NewPredictionHead(fields)
	p.Outputs = outputs(fields["outputs"])
	p.Error = text(fields["error"])
	p.Input = fields["input"]
	p.CreatedAt = timestamp(fields["created_at"])
	p.Inference = inference(fields["timings"])
	if p.Error == "" && !empty(fields["error"]) {
		p.Error = string(fields["error"])
	}
	return p
}

// NewPredictionHead decodes only ID, Model, Status and CompletedAt, which identify the
// fact. It costs a fraction of [NewPrediction].
func NewPredictionHead(fields map[string]json.RawMessage) *Prediction {
	return &Prediction{
		ID:          text(fields["id"]),
		Model:       text(fields["model"]),
		Status:      text(fields["status"]),
		CompletedAt: timestamp(fields["completed_at"]),
	}
}

// text returns raw's string, or "" when raw is no string.
func text(raw json.RawMessage) string {
	if len(raw) == 0 || raw[0] != '"' {
		return ""
	}
	if n := len(raw); n >= 2 && raw[n-1] == '"' && bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1 : n-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// empty reports whether raw is absent, null or "".
func empty(raw json.RawMessage) bool {
	return len(raw) == 0 || string(raw) == "null" || string(raw) == `""`
}

func outputs(raw json.RawMessage) []Output {
	if empty(raw) {
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw} // a single output without a list
	}
	out := make([]Output, len(list))
	for i, item := range list {
		out[i].Raw = item
		if s := text(item); IsURL(s) {
			out[i].URL = s
		}
	}
	return out
}

// IsURL reports whether an output is an address to fetch rather than the result itself.
func IsURL(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http"))
}

func timestamp(raw json.RawMessage) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text(raw))
	// RFC 3339 in UTC cannot express other years.
	if year := t.UTC().Year(); err != nil || year < 1 || year > 9999 {
		return time.Time{}
	}
	return t
}

func inference(raw json.RawMessage) time.Duration {
	var timings map[string]json.RawMessage
	if json.Unmarshal(raw, &timings) != nil {
		return 0
	}
	var ms float64
	if json.Unmarshal(timings["inference"], &ms) != nil || ms < 0 || ms > 1e12 {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}
