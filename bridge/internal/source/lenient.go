package source

import (
	"bytes"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/hookspan/hookspan/bridge"
)

// telling are the fields that an event is made of.
var telling = map[string]bool{"id": true, "status": true, "model": true, "completed_at": true, "outputs": true, "error": true}

// naming are the fields that say, beside the id, which fact about the prediction it is.
var naming = []string{"status", "outputs", "error"}

// AcceptLenient is [Source.Accept] for a delivery that a person has looked at: it is
// verified as any other, and read as far as only one reading is possible. Its age does
// not matter, nor how deep it is nested. A surrogate without its other half, and bytes
// that are not UTF-8, are U+FFFD where they stand in the status or the model; the body
// stays as it was sent. An id with one of them is refused with [CauseEncoding]: two ids
// would become the same prediction.
//
// The fields that the event is made of are refused with [CauseDuplicateKey] when one
// stands twice with two values, or has an object in it, however deep, in which a name
// stands twice: readers differ in which of them counts, so neither is chosen. Elsewhere
// a name may stand twice.
//
// The id of the event is that of [Source.Accept] where the fields that decide on it are
// sound, else it is made of the whole body, so that two deliveries never become one event
// by what was replaced. The errors are those of [Source.Accept].
func (s *Source) AcceptLenient(d Delivery) (*bridge.Event, error) {
	if !s.kind.Verify(d.Proof, d.Body, s.secrets) {
		return nil, ErrNotAuthentic
	}
	fields, err := fieldsOf(d.Body, true)
	if err != nil {
		return nil, err
	}
	if id, ok := fields["id"]; ok && !jsontext.Value(id).IsValid() {
		return nil, unusable(CauseEncoding, `"id" has a surrogate without its other half, or is not valid UTF-8: readers differ in which prediction it is`)
	}
	d.AnyAge = true
	return s.event(d, fields, func(status string) ([]byte, error) {
		for _, name := range naming {
			if raw, ok := fields[name]; ok && !jsontext.Value(raw).IsValid() {
				return d.Body, nil
			}
		}
		return meaning(status, d.Body, fields)
	})
}

// ambiguous returns an error when the event would be made of a field that has more than
// one reading. Fields are those before it, and value is JSON.
func ambiguous(fields map[string]json.RawMessage, name string, value json.RawMessage) error {
	if !telling[name] {
		return nil
	}
	if before, twice := fields[name]; twice && !bytes.Equal(before, value) {
		return unusable(CauseDuplicateKey, "%q stands twice with two values, and nobody can say which is meant", name)
	}
	if !jsontext.Value(value).IsValid(jsontext.AllowInvalidUTF8(true)) { // it is JSON, so this is all that can be wrong
		return unusable(CauseDuplicateKey, "an object in %q has a name twice, and nobody can say which is meant", name)
	}
	return nil
}
