package streams

import (
	"github.com/hookspan/hookspan/bridge"
)

// Outcome is what became of one of several messages that were published together.
type Outcome struct {
	Receipt bridge.Receipt
	// Err is nil when the message is durable.
	Err error
}
