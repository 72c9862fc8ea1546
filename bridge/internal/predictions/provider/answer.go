package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// answer is a decoded answer of the provider.
type answer struct {
	// code is the envelope's, 0 when there is none.
	code int
	// message is the provider's text.
	message string
	// object is the prediction exactly as it came; nil when there is none.
	object []byte
}

var (
	errNotObject = errors.New("the answer is no JSON object")
	errNoData    = errors.New("there is no prediction in the answer")
)

// parseAnswer splits an answer: the envelope {"code", "message", "data"}, or the bare
// prediction, which has an id and a status and no data. It refuses what readers could
// understand in different ways: two objects, invalid UTF-8, a name that comes twice.
func parseAnswer(body []byte) (answer, error) {
	fields, err := members(body)
	if err != nil {
		return answer{}, err
	}
	a := answer{message: text(fields["message"])}
	if a.message == "" {
		a.message = text(fields["error"])
	}
	data, enveloped := fields["data"]
	if !enveloped && text(fields["id"]) != "" && text(fields["status"]) != "" {
		// The code of a bare prediction is its task's.
		a.object = bytes.Trim(body, " \t\r\n")
		return a, nil
	}
	_ = json.Unmarshal(fields["code"], &a.code) // absent or no number: 0
	if len(data) > 0 && data[0] == '{' {
		a.object = data
	}
	return a, nil
}

// failed reports whether an answer with the HTTP status 2xx has a code of failure.
func (a answer) failed() bool { return a.code != 0 && (a.code < 200 || a.code > 299) }

// members returns the members of one JSON object by name, as parts of body.
func members(body []byte) (map[string]json.RawMessage, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	if dec.PeekKind() != '{' {
		return nil, errNotObject
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	fields := make(map[string]json.RawMessage, 8)
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String() // before the next read: the name lies in the decoder's buffer
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		end := dec.InputOffset()
		fields[key] = body[end-int64(len(value)) : end]
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.Join(errors.New("there is something behind the JSON object"), err)
	}
	return fields, nil
}

// text returns raw's string, or "".
func text(raw json.RawMessage) (s string) {
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
