package source

import (
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Kind is how one provider proves, writes and repeats its deliveries. It is read-only data, so it
// is safe for concurrent use.
type Kind struct {
	// Name is what the configuration calls the kind.
	Name string
	// Vendor begins the CloudEvents types of its events, such as com.get3w.
	Vendor string
	// Proof proves a delivery; nil when nothing in a delivery does.
	Proof Proof
	// Body is how a delivery is written, and Answer how the API's answer about one prediction
	// is.
	Body, Answer Body

	// RetrySpan is the longest time from the start of the sender's first attempt to the end
	// of its last one.
	RetrySpan time.Duration
	// Forgives is the longest outage that loses no delivery: when the sender's last attempt
	// begins at the earliest, after the start of the first one.
	Forgives time.Duration
	// Answers are the statuses of outcomes that this sender has to be told otherwise than
	// others.
	Answers map[Outcome]int

	// OutputHosts are the hosts from which the provider serves outputs. One that begins with
	// "*." is every host below the rest.
	OutputHosts []string
	// OutputLife is how long after completion the provider keeps outputs, 0 when it does not
	// say.
	OutputLife time.Duration
	// OutputDelay is how long after the first request outputs may still be missing at their
	// addresses: until then 403 and 404 mean that they come late, afterwards that they are
	// gone. Default [DefaultOutputDelay].
	OutputDelay time.Duration

	// API is the provider's API.
	API API
	// Confirm says whether a delivery only tells that the API is to be asked.
	Confirm Confirm
	// NoWebhook: the provider sends nothing, it is only asked.
	NoWebhook bool
}

// Confirm says whether the provider is asked before a delivery counts.
type Confirm int

// Whether the provider is asked.
const (
	// ConfirmNever: a delivery is proved and whole.
	ConfirmNever Confirm = iota
	// ConfirmIfKey: a delivery is proved, and names the result without having it. It is
	// published as it is when the source has no API key.
	ConfirmIfKey
	// ConfirmAlways: nothing proves what a delivery says.
	ConfirmAlways
)

// API is how a provider is asked about one prediction.
type API struct {
	// BaseURL is the address, without a slash at the end.
	BaseURL string
	// Result returns the path and query of a prediction behind BaseURL. "{id}", "{model}" and
	// "{app}", the first two parts of the model, stand for those of the prediction. Several
	// are told apart by how the id begins; the last one has no prefix. Empty: there is none.
	Result []ResultPath
	// Header has the headers of a request; "{key}" stands for the key.
	Header map[string]string
	// Open are statuses by which the provider says that the prediction has no result yet.
	Open []int
	// Failed are statuses of answers that tell of a failed prediction as one of 200 would.
	Failed []int
	// Enveloped: the answer may be an object {"code", "message", "data"}.
	Enveloped bool
	// Submits: predictions can be submitted as to Get3W.
	Submits bool
}

// ResultPath is the path of predictions whose id has the prefix.
type ResultPath struct{ Prefix, Path string }

// Outcome is what became of a delivery, as far as senders differ in how they must be told.
type Outcome int

// Outcomes.
const (
	// NotAuthentic: nothing proves the delivery. Usually 401.
	NotAuthentic Outcome = iota + 1
	// ComeAgain: the delivery was not kept, and is to be sent again. Usually 503, 429 or 408.
	ComeAgain
)

// Statuses of HTTP.
const (
	statusNotFound    = 404
	statusUnavailable = 503
)

// Status returns the status that tells the sender of an outcome; usual is that of other kinds.
func (k *Kind) Status(outcome Outcome, usual int) int {
	if status, own := k.Answers[outcome]; own {
		return status
	}
	return usual
}

// Default values of kinds.
const (
	// DefaultOutputDelay is for providers that document no delay.
	DefaultOutputDelay = 10 * time.Minute
	// defaultTolerance is by how much a signed time and that of the receipt may differ.
	defaultTolerance = 5 * time.Minute
)

// EventType is the CloudEvents type of an event with the normalised status.
func (k *Kind) EventType(status string) string { return k.Vendor + ".prediction." + status + ".v1" }

// ProofHeaders are the canonical HTTP names of the headers that prove a delivery, the signature
// first; none when nothing does.
func (k *Kind) ProofHeaders() []string {
	if k.Proof == nil {
		return nil
	}
	return k.Proof.Headers()
}

// NeedsSecret reports whether only a configured secret can prove a delivery.
func (k *Kind) NeedsSecret() bool {
	if k.Proof == nil {
		return false
	}
	_, keys := k.Proof.(*ed25519Keys)
	return !keys
}

// Confirms reports whether a delivery only tells that the provider is to be asked; hasKey says that
// it can be.
func (k *Kind) Confirms(hasKey bool) bool {
	return k.Confirm == ConfirmAlways || k.Confirm == ConfirmIfKey && hasKey
}

// SignsTime reports whether the signature covers the time at which it was made, so that a captured
// delivery soon proves nothing.
func (k *Kind) SignsTime() bool {
	switch p := k.Proof.(type) {
	case *HMAC:
		return p.covers("{time}")
	case *Standard, *ed25519Keys:
		return true
	}
	return k.Confirm == ConfirmAlways // the provider says how things are now
}

// bearer is the usual way to send a key (RFC 6750).
var bearer = map[string]string{"Authorization": "Bearer {key}"}

// registry has every kind: draw a new one here.
var registry = func() map[string]*Kind {
	all := map[string]*Kind{}
	for _, k := range []Kind{
		get3w, get3wV1, wavespeed,
		standard, replicate, openai, gemini,
		hmacKind, bfl, baseten, elevenlabs, github,
		fal,
		sharedSecret, assemblyai, deepgram, cerebrium,
		confirm, runpod, luma, kling, kie,
		poll, runway, stability,
	} {
		if k.OutputDelay == 0 {
			k.OutputDelay = DefaultOutputDelay
		}
		all[k.Name] = &k
	}
	return all
}()

// Kinds returns the names of all kinds, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(registry)) }

// KindOf returns the kind of that name. The error for an unknown name lists the known ones.
func KindOf(name string) (*Kind, error) {
	if k, ok := registry[name]; ok {
		return k, nil
	}
	return nil, fmt.Errorf("unknown kind %q: use one of %s", name, strings.Join(Kinds(), ", "))
}

// canonical returns the canonical HTTP names.
func canonical(names ...string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		if name != "" {
			out = append(out, textproto.CanonicalMIMEHeaderKey(name))
		}
	}
	return out
}

// header returns the headers, without those that have no name or value.
func header(pairs ...string) bridge.Header {
	h := bridge.Header{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] != "" && pairs[i+1] != "" {
			h[pairs[i]] = []string{pairs[i+1]}
		}
	}
	return h
}
