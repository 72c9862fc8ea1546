package source

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Kind is how one provider's deliveries are proved and named. It has no state
// and is safe for concurrent use.
type Kind interface {
	// Verify reports whether proof and body were made by someone who has one of
	// the secrets. It takes the same time whichever secret matches, and is false
	// when there are none.
	Verify(proof bridge.Header, body []byte, secrets [][]byte) bool

	// Sign returns the headers by which Verify knows body, for the sending side.
	Sign(body, secret []byte) bridge.Header

	// ProofHeaders are the canonical HTTP names of the headers that prove a
	// delivery, the signature first.
	ProofHeaders() []string

	// Status normalises a status. What it does not know it must return as
	// bridge.EncodeToken.
	Status(raw string) string

	// EventType is the CloudEvents type of an event with the normalised status.
	EventType(status string) string

	// RetrySpan is the longest time from the first attempt of the sender to
	// deliver to the end of its last one.
	RetrySpan() time.Duration

	// OutputHosts are the hosts from which the provider serves outputs.
	OutputHosts() []string

	// BaseURL is where the provider's API is, without a slash at the end.
	BaseURL() string

	// OutputLife is how long after its completion the provider keeps the outputs of
	// a prediction, 0 when it does not say.
	OutputLife() time.Duration

	// OutputDelay is how long after they were first asked for outputs may still be
	// missing at their addresses: until then 403 and 404 mean that they come late, afterwards that they
	// are gone.
	OutputDelay() time.Duration
}

// DefaultOutputDelay is the OutputDelay of providers that say nothing about it.
const DefaultOutputDelay = 10 * time.Minute

var kinds = map[string]Kind{
	"get3w": get3w{},
}

// Kinds returns the names of all kinds, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// KindOf returns the kind of that name, or an error that names those that exist.
func KindOf(name string) (Kind, error) {
	if k, ok := kinds[name]; ok {
		return k, nil
	}
	return nil, fmt.Errorf("unknown kind %q: use one of %s", name, strings.Join(Kinds(), ", "))
}
