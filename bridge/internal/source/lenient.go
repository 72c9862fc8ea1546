package source

import (
	"bytes"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/hookspan/hookspan/bridge"
)

// telling are the fields that an event is made of.
var telling = map[string]bool{"id": true, "status": true, "model": true, "completed_at": true, "outputs": true, "error": true}

// naming are the fields that, beside the id, identify the fact.
var naming = []string{"status", "outputs", "error"}

// AcceptLenient is [Source.Accept] for a delivery that a person has looked at. It verifies
// the delivery as Accept does, ignores its age and nesting depth, and reads it as far as
// there is only one reading. In the status and the model, a surrogate without its other
// half and bytes that are not UTF-8 become U+FFFD; the body stays as it was sent. In the id
// they are refused with [CauseEncoding], because two ids would become the same prediction.
//
// A field that the event is made of is refused with [CauseDuplicateKey] when it stands
// twice with two values, or when an object in it, however deep, has a name twice: readers
// differ in which one counts. Other fields may have a name twice.
//
// The event id is that of [Source.Accept] when the identifying fields are sound; otherwise
// it is made of the whole body, so that replaced bytes never make two deliveries one event.
// The errors are those of [Source.Accept].
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

// ambiguous returns an error when a field of the event has more than one reading. Fields
// are the earlier ones, and value is JSON.
func ambiguous(fields map[string]json.RawMessage, name string, value json.RawMessage) error {
	if !telling[name] {
		return nil
	}
	if before, twice := fields[name]; twice && !bytes.Equal(before, value) {
		return unusable(CauseDuplicateKey, "%q stands twice with two values, and nobody can say which is meant", name)
	}
	if !jsontext.Value(value).IsValid(jsontext.AllowInvalidUTF8(true)) { // value is JSON, so only a repeated name can be wrong
		return unusable(CauseDuplicateKey, "an object in %q has a name twice, and nobody can say which is meant", name)
	}
	return nil
}
