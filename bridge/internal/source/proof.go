package source

import (
	"strconv"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Proof is how a sender proves its deliveries. It is safe for concurrent use.
type Proof interface {
	// Headers are the canonical HTTP names of the headers that prove a delivery, the signature
	// first.
	Headers() []string

	// Verify returns nil when one of the secrets proves the delivery at the time of its first
	// receipt. It takes the same time whichever secret matches. The error is [ErrNotAuthentic],
	// or wraps [ErrNoKeys] when this side cannot say for now.
	Verify(d *Delivery, secrets [][]byte) error

	// Sign returns the headers that prove a body, for the sending side. The error says what is
	// wrong with the secret, without it.
	Sign(m Message, secret []byte) (bridge.Header, error)

	// CheckSecret returns an error, without the secret in it, unless the secret can be one.
	CheckSecret(secret []byte) error
}

// Message is what a sender signs.
type Message struct {
	// ID is that of the message, the same in each of its attempts.
	ID   string
	At   time.Time
	Body []byte
}

// timed is a proof that covers the time at which the sender signed.
type timed interface {
	// signedAt returns that time, and by how much it may differ from the receipt; false when
	// the delivery has none that can be read.
	signedAt(d *Delivery) (at time.Time, tolerance time.Duration, ok bool)
}

// private is a proof whose headers hold the secret itself, which must not be kept.
type private interface{ private() }

// IsPrivate reports whether the headers of a proof hold the secret itself.
func IsPrivate(p Proof) bool {
	_, is := p.(private)
	return is
}

// one returns the value of a header that came once.
func one(h bridge.Header, name string) (string, bool) {
	values := h[name]
	if len(values) != 1 {
		return "", false
	}
	return values[0], true
}

// unixSeconds reads whole seconds since 1970 as every scheme writes them: nothing but digits.
func unixSeconds(text string) (time.Time, bool) {
	const most = 11 // digits until the year 5138
	if len(text) == 0 || len(text) > most {
		return time.Time{}, false
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return time.Time{}, false
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(n, 0), err == nil
}

// near reports whether a signed time is within the tolerance of the receipt.
func near(at, received time.Time, tolerance time.Duration) bool {
	return received.Sub(at).Abs() <= tolerance
}
