package bridge

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Prediction is the provider's task as its API family (Get3W, WaveSpeedAI)
// writes it. Fields that are absent or of another type than documented are
// zero: the provider may add and change fields, and the body keeps them all.
type Prediction struct {
	ID    string
	Model string
	// Status is as the provider wrote it, not normalised.
	Status  string
	Outputs []Output
	// Error is the provider's message of a failed prediction: its text when it
	// is a string, otherwise its JSON.
	Error string
	// Input is the JSON that the prediction was submitted with, when the
	// provider repeats it.
	Input json.RawMessage

	CreatedAt   time.Time
	CompletedAt time.Time
	// Inference is how long the model ran (timings.inference, milliseconds).
	Inference time.Duration
}

// Output is one result of a prediction.
type Output struct {
	// URL is set when the output is an http or https address, which the
	// provider deletes after a while.
	URL string
	// Raw is the output as JSON, whatever it is.
	Raw json.RawMessage
}

// ParsePrediction reads a JSON object. Names are matched exactly: "ID" is not
// "id". The error says what is wrong when body is not one JSON object; a missing
// id or status is not an error here.
func ParsePrediction(body []byte) (*Prediction, error) {
	fields, err := parse[map[string]json.RawMessage](body)
	if err != nil {
		return nil, err
	}
	return NewPrediction(*fields), nil
}

// NewPrediction is [ParsePrediction] for an object whose fields are known, each
// with its value as JSON without space around it.
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

// NewPredictionHead is the part of [NewPrediction] that says which fact about which
// prediction it is: ID, Model, Status and CompletedAt. It costs a fraction.
func NewPredictionHead(fields map[string]json.RawMessage) *Prediction {
	return &Prediction{
		ID:          text(fields["id"]),
		Model:       text(fields["model"]),
		Status:      text(fields["status"]),
		CompletedAt: timestamp(fields["completed_at"]),
	}
}

// text is the string that raw holds, or "" when it holds something else.
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

// empty reports whether raw says nothing: absent, null or "".
func empty(raw json.RawMessage) bool {
	return len(raw) == 0 || string(raw) == "null" || string(raw) == `""`
}

func outputs(raw json.RawMessage) []Output {
	if empty(raw) {
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw} // one that is not in a list
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

// IsURL reports whether an output is an address to fetch, rather than the result
// itself.
func IsURL(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http"))
}

func timestamp(raw json.RawMessage) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text(raw))
	// Beyond these years it could not travel as RFC 3339 in UTC.
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
