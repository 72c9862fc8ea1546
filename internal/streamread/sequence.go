package streamread

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// Codes of the JetStream API for an unexpected last sequence of a subject. The second one does
// not name the subject's last sequence.
const (
	codeWrongLastSequence         jetstream.ErrorCode = 10071
	codeWrongLastSequenceConstant jetstream.ErrorCode = 10164
)

// IsWrongSequence reports whether a message was refused because the last sequence of its
// subject is not the expected one.
func IsWrongSequence(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == codeWrongLastSequence || api.ErrorCode == codeWrongLastSequenceConstant)
}
