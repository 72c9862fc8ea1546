package source

import (
	"bytes"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/hookspan/hookspan/bridge"
)

// telling are the fields that an event is made of.
var telling = map[string]bool{"id": true, "status": true, "model": true, "completed_at": true, "outputs": true, "error": true}

// naming are the fields that say which fact about which prediction it is.
var naming = []string{"id", "status", "outputs", "error"}

// AcceptLenient is [Source.Accept] for a delivery that a person has looked at: it is
// verified as any other, and read as far as only one reading is possible. Its age does
// not matter, nor how deep it is nested. A surrogate without its other half, and bytes
// that are not UTF-8, are U+FFFD where they stand in the id, the status or the model;
// the body stays as it was sent. A name may stand twice in an object, but not with two
// values where the event is made of it: readers differ in which of them counts, so
// neither is chosen. The id of the event is that of [Source.Accept] where the fields
// that decide on it are sound, else it is made of the whole body, so that two
// deliveries never become one event by what was replaced. The errors are those of
// [Source.Accept].
func (s *Source) AcceptLenient(d Delivery) (*bridge.Event, error) {
	if !s.kind.Verify(d.Proof, d.Body, s.secrets) {
		return nil, ErrNotAuthentic
	}
	fields, err := fieldsOf(d.Body, true)
	if err != nil {
		return nil, err
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

// contradicts reports whether a field that the event is made of has had another value.
func contradicts(fields map[string]json.RawMessage, name string, value json.RawMessage) bool {
	before, twice := fields[name]
	return twice && telling[name] && !bytes.Equal(before, value)
}
