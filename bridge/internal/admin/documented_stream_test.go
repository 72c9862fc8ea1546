package admin_test

import (
	"bytes"
	"fmt"
	"io"

	"github.com/pb33f/libopenapi/datamodel/high/base"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// documentedStream is a body of Server-Sent Events. Reading one whose data is not as its
// x-events says is an error. A stream without x-events is passed on from others.
type documentedStream struct {
	io.ReadCloser

	d       *documented
	schemas map[string]*base.Schema // by name of the event
	read    []byte                  // of the event that has not ended
}

func (d *documented) stream(media *v3.MediaType, body io.ReadCloser) (io.ReadCloser, bool) {
	node, ok := media.Extensions.Get("x-events")
	if !ok {
		return body, true
	}
	names := map[string]string{}
	if node.Decode(&names) != nil {
		return body, false
	}
	s := &documentedStream{ReadCloser: body, d: d, schemas: map[string]*base.Schema{}}
	for event, name := range names {
		proxy, ok := d.model.Components.Schemas.Get(name)
		if !ok {
			return body, false
		}
		s.schemas[event] = proxy.Schema()
	}
	return s, true
}

func (s *documentedStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.read = append(s.read, p[:n]...)
	for {
		event, rest, whole := bytes.Cut(s.read, []byte("\n\n"))
		if !whole {
			return n, err
		}
		s.read = rest
		if err := s.check(event); err != nil {
			s.d.fault(err)
			return n, err
		}
	}
}

func (s *documentedStream) check(event []byte) error {
	fields := map[string]string{}
	for line := range bytes.SplitSeq(event, []byte("\n")) {
		if name, value, ok := bytes.Cut(line, []byte(": ")); ok {
			fields[string(name)] = string(value)
		}
	}
	if fields["data"] == "" {
		return nil // a comment, or when to come again
	}
	schema, ok := s.schemas[fields["event"]]
	if !ok {
		return fmt.Errorf("the event %q of a stream is not documented", fields["event"])
	}
	if _, errs := s.d.schemas.ValidateSchemaString(schema, fields["data"]); len(errs) > 0 {
		return fmt.Errorf("an event %s of a stream is not as documented: %w in %s", fields["event"], joined(errs), fields["data"])
	}
	return nil
}
