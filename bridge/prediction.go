package bridge

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/jsonvalue"
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
	fields, err := jsonvalue.Members(body)
	if err != nil {
		return nil, err
	}
	return NewPrediction(fields), nil
}

// NewPrediction is [ParsePrediction] for known fields, each value being JSON without
// surrounding space.
func NewPrediction(fields map[string]json.RawMessage) *Prediction {
	p := NewPredictionHead(fields)
	p.Outputs = outputs(fields["outputs"])
	p.Error = jsonvalue.Text(fields["error"])
	p.Input = fields["input"]
	p.CreatedAt = jsonvalue.Time(fields["created_at"])
	p.Inference = inference(fields["timings"])
	if p.Error == "" && !jsonvalue.Empty(fields["error"]) {
		p.Error = string(fields["error"])
	}
	return p
}

// NewPredictionHead decodes only ID, Model, Status and CompletedAt, which identify the
// fact. It costs a fraction of [NewPrediction].
func NewPredictionHead(fields map[string]json.RawMessage) *Prediction {
	return &Prediction{
		ID:          jsonvalue.Text(fields["id"]),
		Model:       jsonvalue.Text(fields["model"]),
		Status:      jsonvalue.Text(fields["status"]),
		CompletedAt: jsonvalue.Time(fields["completed_at"]),
	}
}

func outputs(raw json.RawMessage) []Output {
	if jsonvalue.Empty(raw) {
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw} // a single output without a list
	}
	out := make([]Output, len(list))
	for i, item := range list {
		out[i].Raw = item
		if s := jsonvalue.Text(item); IsURL(s) {
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
