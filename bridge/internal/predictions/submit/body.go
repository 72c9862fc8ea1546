package submit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/hookspan/hookspan/internal/adminapi"
)

const webhookMember = "webhook_url"

var errWebhook = errors.New("the body has a webhook_url: leave it out, the bridge puts in its own, and what arrives there is given to your consumers")

// inspect returns whether the body requests a stream, or why it cannot be submitted. It
// refuses what provider and bridge could understand in different ways: two objects, invalid
// UTF-8, a name that comes twice.
func inspect(body []byte) (stream bool, err error) {
	if len(body) > adminapi.MaxSubmission {
		return false, fmt.Errorf("the body has %d bytes, at most %d are possible", len(body), adminapi.MaxSubmission)
	}
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	if dec.PeekKind() != '{' {
		return false, errors.New("the body is not a JSON object")
	}
	if _, err := dec.ReadToken(); err != nil {
		return false, unreadable(err)
	}
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return false, unreadable(err)
		}
		name := token.String()
		value, err := dec.ReadValue()
		switch {
		case err != nil:
			return false, unreadable(err)
		case strings.EqualFold(name, webhookMember): // some readers ignore case
			return false, errWebhook
		case name == "stream":
			if !strings.ContainsRune("tfn", rune(value.Kind())) {
				return false, errors.New("stream is neither true nor false")
			}
			stream = value.Kind() == 't'
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return false, unreadable(err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return false, errors.New("there is something behind the JSON object of the body")
	}
	return stream, nil
}

func unreadable(err error) error {
	return fmt.Errorf("the body is not one JSON object: %.200s", err.Error())
}

// withWebhook adds the address to an inspected body. All other bytes stay: re-encoding
// could change numbers.
func withWebhook(body []byte, address string) ([]byte, error) {
	member, err := jsontext.AppendQuote([]byte(`"`+webhookMember+`":`), address)
	if err != nil {
		return nil, fmt.Errorf("writing the webhook's address: %w", err)
	}
	at := bytes.IndexByte(body, '{') + 1
	if rest := bytes.TrimLeft(body[at:], " \t\r\n"); rest[0] != '}' {
		member = append(member, ',')
	}
	return slices.Concat(body[:at], member, body[at:]), nil
}
