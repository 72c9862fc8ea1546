package app

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// SignedDelivery is a delivery as it came, and what is to prove it.
type SignedDelivery struct {
	// Kind is the kind of the source, such as get3w.
	Kind string
	// Source has what the configuration changes of the kind.
	Source config.Source
	// Secrets are those of the source. Place is where they come from, for texts.
	Secrets [][]byte
	Place   string
	// MaxAge is sources.<name>.max_age, 0 for no limit.
	MaxAge time.Duration
	// Header has the headers that came, under their canonical names.
	Header http.Header
	Body   []byte
	// At is when the delivery came.
	At time.Time
}

// SignatureReport says whether a delivery is authentic, and why not.
type SignatureReport struct {
	// Matches: one of the secrets has made the signature.
	Matches bool `json:"matches"`
	// Accepted: the delivery would become the event Event.
	Accepted bool   `json:"accepted"`
	Event    string `json:"event,omitempty"`
	// Cause is why it would not, as hookspan quarantine list shows it, and Detail says what to
	// do. Neither holds a secret or a signature.
	Cause  string `json:"cause,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// ExplainSignature says what a bridge would do with a delivery, and why its signature does not
// match. The error is of an unknown kind.
func ExplainSignature(d SignedDelivery) (SignatureReport, error) {
	s, err := source.New(source.Config{Name: "source", Kind: d.Kind, Options: d.Source.Options(), Secrets: d.Secrets, Place: d.Place, MaxAge: d.MaxAge})
	if err != nil {
		return SignatureReport{}, err
	}
	delivery := source.Delivery{Proof: bridge.Header{}, Body: d.Body, ContentType: d.Header.Get("Content-Type"), ReceivedAt: d.At, Origin: bridge.OriginWebhook}
	names := s.Kind().ProofHeaders()
	for _, name := range names {
		if values := d.Header.Values(name); len(values) > 0 {
			delivery.Proof[name] = values
		}
	}
	event, err := s.Accept(delivery)
	if err == nil {
		return SignatureReport{Matches: true, Accepted: true, Event: event.ID}, nil
	}
	if unusable, ok := errors.AsType[*source.UnusableError](err); ok {
		return SignatureReport{Matches: true, Cause: string(unusable.Cause), Detail: unusable.Detail}, nil
	}
	cause, detail := s.DiagnoseFully(delivery)
	if cause == source.CauseNoSignature {
		detail += otherSender(d.Header, d.Kind)
	}
	return SignatureReport{Cause: string(cause), Detail: detail}, nil
}

// otherSenders are headers by which senders of other kinds prove their webhooks.
var otherSenders = []struct{ header, sender string }{
	{"Webhook-Signature", "a sender by Standard Webhooks, such as Replicate, OpenAI or WaveSpeedAI"},
	{"Svix-Signature", "a sender that uses Svix"},
	{"X-Fal-Webhook-Signature", "fal.ai"},
	{"X-Hub-Signature-256", "GitHub, or a sender that signs as GitHub does"},
	{"Stripe-Signature", "Stripe"},
}

func otherSender(header http.Header, kind string) string {
	for _, other := range otherSenders {
		if strings.TrimSpace(header.Get(other.header)) != "" {
			return fmt.Sprintf("; it has %s, as of %s, and the source is of kind %s", other.header, other.sender, kind)
		}
	}
	return ""
}
