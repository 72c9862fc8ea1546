package source

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/jsonvalue"
)

// Body says where a JSON body has what an event is made of. Each field is a list of JSON pointers
// (RFC 6901), or [bridge.WholeBody]; the first one that leads to something counts.
type Body struct {
	// ID is where the prediction's id is. None, in an answer of the API: the answer is about
	// the prediction that was asked for.
	ID    []string
	Model []string
	// Status is where the status is. None: the body tells of an end, which failed when there
	// is an error.
	Status      []string
	Outputs     []string
	Error       []string
	CreatedAt   []string
	CompletedAt []string
	// Inference is where the seconds are for which the model ran.
	Inference []string

	// Statuses are the normalised statuses of the sender's words; "*" is for all others. A word
	// that is not in it is looked up in the words that most senders use.
	Statuses map[string]string
	// OwnWords: no word but those in Statuses is known.
	OwnWords bool
	// Numbers: an id and a status may be a number.
	Numbers bool
	// Progress are normalised statuses that tell of progress only: nothing is kept of them.
	Progress []string
	// Plain: it is written as Get3W writes it.
	Plain bool
}

// plain is the body of Get3W and WaveSpeedAI, whose API answers with it too.
var plain = Body{
	ID: []string{"/id"}, Model: []string{"/model"}, Status: []string{"/status"}, Outputs: []string{"/outputs"}, Error: []string{"/error"},
	CreatedAt: []string{"/created_at"}, CompletedAt: []string{"/completed_at"}, OwnWords: true, Plain: true,
}

// words are how senders write statuses.
var words = func() map[string]string {
	out := map[string]string{}
	for status, list := range map[string]string{
		bridge.StatusCreated:    "created queued in_queue pending starting submitted waiting scheduled",
		bridge.StatusProcessing: "processing running in_progress in-progress started dreaming generating throttled",
		bridge.StatusCompleted:  "completed complete succeeded succeed success successful ready done finished ok generated",
		bridge.StatusFailed:     "failed fail failure error errored timeout timed_out timed-out expired incomplete rejected",
		bridge.StatusCanceled:   "canceled cancelled aborted skipped",
	} {
		for word := range strings.FieldsSeq(list) {
			out[word] = status
		}
	}
	return out
}()

// status normalises a status; an unknown one becomes [bridge.EncodeToken] of it.
func (b *Body) status(raw string) string {
	if status, ok := b.Statuses[raw]; ok {
		return status
	}
	if !b.OwnWords {
		word := strings.ToLower(raw)
		for _, word := range []string{word, word[strings.LastIndexByte(word, '.')+1:]} { // response.completed
			if status, ok := words[word]; ok {
				return status
			}
		}
	}
	if status, ok := b.Statuses["*"]; ok {
		return status
	}
	return bridge.EncodeToken(raw)
}

// told is what a body says.
type told struct {
	id, model, rawStatus, status string
	completedAt                  time.Time
	outputs, err                 json.RawMessage
	fields                       bridge.Fields
}

// read reads a body whose top-level fields are known.
func (b *Body) read(body []byte, fields map[string]json.RawMessage) told {
	at := finder{body, fields}
	var t told
	t.id, t.model = b.text(at.first(b.ID)), jsonvalue.Text(at.first(b.Model))
	t.rawStatus = b.text(at.first(b.Status))
	var f bridge.Fields
	t.outputs, f.Outputs = at.where(b.Outputs)
	t.err, f.Error = at.where(b.Error)
	_, f.CreatedAt = at.where(b.CreatedAt)
	var completed json.RawMessage
	completed, f.CompletedAt = at.where(b.CompletedAt)
	t.completedAt = jsonvalue.AnyTime(completed)
	_, f.Inference = at.where(b.Inference)
	if len(b.Status) == 0 {
		t.rawStatus = bridge.StatusCompleted
		if !jsonvalue.Nothing(t.err) {
			t.rawStatus = bridge.StatusFailed
		}
	}
	t.status = b.status(t.rawStatus)
	if f.Error != "" && (f.Outputs == bridge.WholeBody || strings.HasPrefix(f.Error, f.Outputs+"/")) {
		t.outputs, f.Outputs = nil, "" // what would be the output is the error
	}
	switch {
	case b.Plain:
		t.outputs, t.err, t.completedAt = fields["outputs"], fields["error"], jsonvalue.Time(completed)
	case f == (bridge.Fields{}):
		t.fields.Outputs = slices.Concat(b.Outputs, []string{"/outputs"})[0] // leads to nothing
	default:
		t.fields = f
	}
	return t
}

// text returns a text, or a number where the sender may write one.
func (b *Body) text(raw json.RawMessage) string {
	if b.Numbers {
		return literalOf(raw)
	}
	return jsonvalue.Text(raw)
}

// literalOf returns the text of a JSON string or the digits of a whole number, or "".
func literalOf(raw json.RawMessage) string {
	if len(raw) > 0 && raw[0] != '"' && !slices.ContainsFunc(raw, func(c byte) bool { return (c < '0' || c > '9') && c != '-' }) {
		return string(raw)
	}
	return jsonvalue.Text(raw)
}

// finder follows pointers in a body.
type finder struct {
	body   []byte
	fields map[string]json.RawMessage
}

// where returns the first value that says something and its pointer.
func (f finder) where(pointers []string) (json.RawMessage, string) {
	for _, pointer := range pointers {
		if raw := jsonvalue.In(f.body, f.fields, pointer); !jsonvalue.Nothing(raw) {
			return raw, pointer
		}
	}
	return nil, ""
}

func (f finder) first(pointers []string) json.RawMessage {
	raw, _ := f.where(pointers)
	return raw
}

// tops returns the top-level names that the pointers begin with.
func tops(lists ...[]string) []string {
	var out []string
	for _, list := range lists {
		for _, pointer := range list {
			name, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
			out = append(out, jsonvalue.Unescape(name))
		}
	}
	return out
}
