package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/hookspan/hookspan/bridge"
)

// maxDepth bounds the nesting of a body; the JSON library allows 10,000 levels.
const maxDepth = 64

// readFields returns the fields of a body that every reader understands in the same way:
// one JSON object in valid UTF-8, no name twice in any object, no deeper than maxDepth. The
// values are parts of body, not copies.
func readFields(body []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(body) {
		return nil, unusable(CauseEncoding, "the body is not valid UTF-8")
	}
	return fieldsOf(body, nil)
}

// decoders are used again, since each allocates as much as a body has.
var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// fieldsOf is readFields, or, for bodies that are written as b says, the reader of
// [Source.AcceptLenient].
func fieldsOf(body []byte, b *Body) (map[string]json.RawMessage, error) {
	lenient := b != nil
	dec := decoders.Get().(*jsontext.Decoder)
	defer func() {
		dec.Reset(bytes.NewReader(nil)) // or it would keep the body
		decoders.Put(dec)
	}()
	dec.Reset(bytes.NewBuffer(body), jsontext.AllowInvalidUTF8(lenient), jsontext.AllowDuplicateNames(lenient))
	if kind := dec.PeekKind(); kind != '{' {
		return nil, unusable(CauseSyntax, "the body is not a JSON object")
	}
	fields := make(map[string]json.RawMessage, 12)
	name, from := "", int64(-1) // of the member being read
	for {
		tok, err := dec.ReadToken()
		depth := dec.StackDepth()
		switch {
		case err != nil:
		case depth == 1 && from >= 0: // the end of a member's value
			value := json.RawMessage(bytes.TrimLeft(body[from:dec.InputOffset()], ": \t\r\n"))
			if lenient {
				if err := ambiguous(b, fields, name, value); err != nil {
					return nil, err
				}
			}
			fields[name] = value
			from = -1
		case depth == 1 && tok.Kind() == '"': // its name
			name, from = tok.String(), dec.InputOffset()
		}
		switch {
		case errors.Is(err, io.EOF):
			return fields, nil
		case errors.Is(err, jsontext.ErrDuplicateName):
			return nil, unusable(CauseDuplicateKey, "an object has a name twice: %v", err)
		case err != nil:
			return nil, unusable(CauseSyntax, "%v", err)
		case dec.StackDepth() > maxDepth && !lenient:
			return nil, unusable(CauseDepth, "the body is nested deeper than %d levels", maxDepth)
		case dec.StackDepth() == 0 && len(bytes.TrimLeft(body[dec.InputOffset():], " \t\r\n")) > 0:
			return nil, unusable(CauseSyntax, "there is something behind the JSON object")
		}
	}
}

// meaning tells facts with the same status apart. For a terminal status it is the canonical
// JSON (RFC 8785) of [status, outputs, error], the same for a retry, a re-encoded copy and
// a polled answer; otherwise it is the raw body.
func meaning(e *bridge.Event, t told) ([]byte, error) {
	if !bridge.Terminal(e.Status) {
		return e.Body, nil
	}
	outputs := t.outputs
	if e.Fields != (bridge.Fields{}) {
		p, err := e.Prediction()
		if err != nil {
			return nil, err
		}
		if outputs, err = listed(p.Outputs); err != nil {
			return nil, err
		}
	}
	outputs, err := cutOutputs(outputs)
	if err != nil {
		return nil, err
	}
	canonical := jsontext.Value(slices.Concat([]byte(`["`+e.Status+`",`), outputs, []byte(","), orNull(t.err), []byte("]")))
	if err := canonical.Canonicalize(); err != nil {
		return nil, err
	}
	return canonical, nil
}

// listed returns a list of addresses and of what the other outputs are.
func listed(outputs []bridge.Output) (json.RawMessage, error) {
	list := make([]any, len(outputs))
	for i, o := range outputs {
		list[i] = o.Raw
		if o.URL != "" {
			list[i] = o.URL
		}
	}
	return json.Marshal(list)
}

// cutOutputs cuts addresses at their '?': the query is a signature of the provider's CDN
// that differs between answers.
func cutOutputs(raw json.RawMessage) (json.RawMessage, error) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return cutOutput(orNull(raw))
	}
	if len(list) == 0 {
		return orNull(nil), nil
	}
	for i, item := range list {
		var err error
		if list[i], err = cutOutput(item); err != nil {
			return nil, err
		}
	}
	return json.Marshal(list)
}

func cutOutput(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return raw, nil
	}
	if bytes.IndexByte(raw, '\\') < 0 { // nearly every address
		if before, _, cut := bytes.Cut(raw, []byte("?")); cut && bridge.IsURL(string(before[1:])) {
			return append(slices.Clip(before), '"'), nil
		}
		return raw, nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	if !bridge.IsURL(s) {
		return raw, nil
	}
	s, _, _ = strings.Cut(s, "?")
	return json.Marshal(s)
}

// orNull returns null for what says nothing: absent, null and "".
func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == `""` {
		return json.RawMessage("null")
	}
	return raw
}
