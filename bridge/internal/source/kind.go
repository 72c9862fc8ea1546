package source

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Kind knows how one provider proves and writes its deliveries. It has no state and is safe
// for concurrent use.
type Kind interface {
	// Verify reports whether one of the secrets proves body. It takes the same time
	// whichever secret matches, and is false when there are none.
	Verify(proof bridge.Header, body []byte, secrets [][]byte) bool

	// Sign returns the proof headers of body, for the sending side.
	Sign(body, secret []byte) bridge.Header

	// ProofHeaders are the canonical HTTP names of the headers that prove a delivery, the
	// signature first.
	ProofHeaders() []string

	// Status normalises a status. It returns an unknown one as bridge.EncodeToken.
	Status(raw string) string

	// EventType is the CloudEvents type of an event with the normalised status.
	EventType(status string) string

	// RetrySpan is the longest time from the start of the sender's first attempt to the end
	// of its last one.
	RetrySpan() time.Duration

	// Forgives is the longest outage that loses no delivery: when the sender's last attempt
	// begins at the earliest, after the start of the first one.
	Forgives() time.Duration
	// OutputHosts are the hosts from which the provider serves outputs.
	OutputHosts() []string

	// BaseURL is the address of the provider's API, without a slash at the end.
	BaseURL() string

	// OutputLife is how long after completion the provider keeps outputs, 0 when it does
	// not say.
	OutputLife() time.Duration

	// OutputDelay is how long after the first request outputs may still be missing at their
	// addresses: until then 403 and 404 mean that they come late, afterwards that they are
	// gone.
	OutputDelay() time.Duration
}

// DefaultOutputDelay is for providers that document no delay.
const DefaultOutputDelay = 10 * time.Minute

var kinds = map[string]Kind{
	"get3w": get3w{},
}

// Kinds returns the names of all kinds, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// KindOf returns the kind of that name. The error for an unknown name lists the known ones.
func KindOf(name string) (Kind, error) {
	if k, ok := kinds[name]; ok {
		return k, nil
	}
	return nil, fmt.Errorf("unknown kind %q: use one of %s", name, strings.Join(Kinds(), ", "))
}
