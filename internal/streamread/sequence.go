package streamread

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// Codes of the JetStream API: another message came to the subject first. The second one
// does not say which.
const (
	codeWrongLastSequence         jetstream.ErrorCode = 10071
	codeWrongLastSequenceConstant jetstream.ErrorCode = 10164
)

// IsWrongSequence reports whether a message was refused because the last one of its
// subject is another one than it names.
func IsWrongSequence(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == codeWrongLastSequence || api.ErrorCode == codeWrongLastSequenceConstant)
}
