package source

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/hookspan/hookspan/bridge"
)

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
	if err := s.verify(&d); err != nil {
		return nil, err
	}
	return s.ReadLenient(d)
}

// ReadLenient is [Source.AcceptLenient] without the verification, for bodies whose origin is proved
// otherwise.
func (s *Source) ReadLenient(d Delivery) (*bridge.Event, error) {
	b := &s.kind.Body
	fields, err := fieldsOf(d.Body, b)
	if err != nil {
		return nil, err
	}
	for _, name := range tops(b.ID) {
		if id, ok := fields[name]; ok && !jsontext.Value(id).IsValid() {
			return nil, unusable(CauseEncoding, "the id has a surrogate without its other half, or is not valid UTF-8: readers differ in which prediction it is")
		}
	}
	d.AnyAge = true
	return s.event(d, b.read(d.Body, fields), func(e *bridge.Event, t told) ([]byte, error) {
		for _, name := range tops(b.Status, b.Outputs, b.Error) { // beside the id they identify the fact
			if raw, ok := fields[name]; ok && !jsontext.Value(raw).IsValid() {
				return d.Body, nil
			}
		}
		return meaning(e, t)
	})
}

// ambiguous returns an error when a field of the event has more than one reading. Fields
// are the earlier ones, and value is JSON.
func ambiguous(b *Body, fields map[string]json.RawMessage, name string, value json.RawMessage) error {
	if !slices.Contains(tops(b.ID, b.Status, b.Model, b.CompletedAt, b.Outputs, b.Error), name) {
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
