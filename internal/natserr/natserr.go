// Package natserr tells errors of the JetStream API apart by code. It has the codes that
// package jetstream does not name.
package natserr

import (
	"errors"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Codes of nats-server 2.15.
const (
	AccountResources    jetstream.ErrorCode = 10002
	NoPeers             jetstream.ErrorCode = 10005
	NoResources         jetstream.ErrorCode = 10023
	StorageResources    jetstream.ErrorCode = 10047
	NotClustered        jetstream.ErrorCode = 10074
	StoreFailed         jetstream.ErrorCode = 10077
	HeaderTooLarge      jetstream.ErrorCode = 10097
	ConsumerStoreFailed jetstream.ErrorCode = 10104
	DuplicateInFlight   jetstream.ErrorCode = 10158
)

// Is reports whether err is an error of the JetStream API with one of the codes.
func Is(err error, codes ...jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && slices.Contains(codes, api.ErrorCode)
}

// IsWrongLastSequence reports whether a publish failed because another message to its subject
// came first. A replicated stream has its own code for this.
func IsWrongLastSequence(err error) bool {
	return Is(err, jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
