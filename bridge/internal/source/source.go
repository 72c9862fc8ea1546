// Package source knows who sends: how a delivery of each kind of provider is
// proved to be authentic and how it is read as an event. Nothing here knows
// HTTP, so the same function serves a webhook, a delivery that is verified again
// later and an answer that was polled.
package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/mediatype"
)

// ErrNotAuthentic means that nothing proves that the delivery came from the
// configured sender: its signature is missing or wrong, or no secret is
// configured. It deliberately says no more, since the sender is told its text.
var ErrNotAuthentic = errors.New("signature missing or wrong")

// Cause says why a delivery cannot become an event. It is one token of a
// subject.
type Cause string

// Why an authentic delivery is not usable.
const (
	CauseEncoding     Cause = "encoding"      // not valid UTF-8
	CauseSyntax       Cause = "syntax"        // not one JSON object
	CauseDuplicateKey Cause = "duplicate_key" // an object has a name twice
	CauseDepth        Cause = "depth"         // nested too deep
	CauseNoID         Cause = "no_id"         // no prediction id
	CauseNoStatus     Cause = "no_status"     // no status
	CauseTooLong      Cause = "too_long"      // an attribute over its limit
	CauseStale        Cause = "stale"         // terminal, and older than the source's max age
)

// UnusableError is returned for a delivery that is authentic but cannot become
// an event. Sending it again does not help.
type UnusableError struct {
	Cause Cause
	// Detail is for people; it holds nothing secret.
	Detail string
}

func (e *UnusableError) Error() string {
	return fmt.Sprintf("delivery is authentic but not usable (%s): %s", e.Cause, e.Detail)
}

// maxDetail bounds what is repeated of a body that can be megabytes of one name.
const maxDetail = 256

func unusable(cause Cause, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail], "") + "…"
	}
	return &UnusableError{Cause: cause, Detail: detail}
}

// Delivery is one request of a sender, as far as it matters to a source.
type Delivery struct {
	// Proof holds the headers that the kind asks for by [Kind.ProofHeaders],
	// under the names it gives them, with every value that came.
	Proof bridge.Header
	// Body is the raw body. It is kept by the event, not copied.
	Body        []byte
	ContentType string
	// Query holds the parameters of the webhook URL that the source allows.
	Query map[string]string
	// ReceivedAt is when the delivery arrived first; it is required.
	ReceivedAt time.Time
	// Origin says how the delivery came here, e.g. bridge.OriginWebhook.
	Origin      string
	TraceParent string
	// AnyAge leaves the age of the delivery unjudged: somebody has seen to it.
	AnyAge bool
}

// Config describes one configured sender.
type Config struct {
	// Name must satisfy [bridge.CheckName].
	Name string
	// Kind is one of [Kinds].
	Kind string
	// Secrets are the active secrets, several while rotating; empty ones do not
	// count. With none, no delivery is authentic.
	Secrets [][]byte
	// Retired are secrets that were active once. Nothing that they sign is
	// authentic; [Source.Diagnose] knows them.
	Retired [][]byte
	// MaxAge is how long after its completion a terminal delivery is accepted; zero is no
	// limit. A signature without a time never expires, so an older delivery is taken for a
	// captured request that is sent again. With the sender's retry span MaxAge must fit into
	// the time for which the event store knows duplicates.
	MaxAge time.Duration
}

// Source turns the deliveries of one configured sender into events. It is safe
// for concurrent use.
type Source struct {
	name    string
	kind    Kind
	secrets [][]byte
	retired [][]byte
	held    []string // both, without white space around them
	maxAge  time.Duration
}

// New returns an error that names the field when cfg cannot be used.
func New(cfg Config) (*Source, error) {
	if err := bridge.CheckName("source", cfg.Name); err != nil {
		return nil, err
	}
	kind, err := KindOf(cfg.Kind)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", cfg.Name, err)
	}
	if cfg.MaxAge < 0 {
		return nil, fmt.Errorf("source %s: max age is %v, it cannot be negative", cfg.Name, cfg.MaxAge)
	}
	s := &Source{
		name:    cfg.Name,
		kind:    kind,
		secrets: notEmpty(cfg.Secrets),
		retired: notEmpty(cfg.Retired),
		maxAge:  cfg.MaxAge,
	}
	for _, secret := range slices.Concat(s.secrets, s.retired) {
		if bare := bytes.TrimSpace(secret); len(bare) > 0 {
			s.held = append(s.held, string(bare))
		}
	}
	return s, nil
}

// notEmpty leaves out empty secrets: they are keys that everybody knows.
func notEmpty(secrets [][]byte) [][]byte {
	var out [][]byte
	for _, secret := range secrets {
		if len(secret) > 0 {
			out = append(out, secret)
		}
	}
	return out
}

// Name is the configured name.
func (s *Source) Name() string { return s.name }

// Kind is how the sender proves and writes its deliveries.
func (s *Source) Kind() Kind { return s.kind }

// HasSecret reports whether any delivery can be authentic.
func (s *Source) HasSecret() bool { return len(s.secrets) > 0 }

// minHeld is the length in bytes from which a secret is looked for inside other
// texts. A shorter one would be found by accident.
const minHeld = 8

// Holds reports whether text holds one of the secrets, the retired ones
// included, so that it must not be kept.
func (s *Source) Holds(text string) bool {
	for _, secret := range s.held {
		if text == secret || len(secret) >= minHeld && strings.Contains(text, secret) {
			return true
		}
	}
	return false
}

// Accept verifies a delivery, reads it and returns the event that it is. The
// error is [ErrNotAuthentic] or an [*UnusableError]; both are about the
// delivery, never about this side.
func (s *Source) Accept(d Delivery) (*bridge.Event, error) {
	if !s.kind.Verify(d.Proof, d.Body, s.secrets) {
		return nil, ErrNotAuthentic
	}
	return s.Read(d)
}

// Read is the second half of [Source.Accept], for deliveries whose origin is
// proved otherwise, such as the answer to a call of ours.
func (s *Source) Read(d Delivery) (*bridge.Event, error) {
	fields, err := readFields(d.Body)
	if err != nil {
		return nil, err
	}
	return s.event(d, fields, func(status string) ([]byte, error) { return meaning(status, d.Body, fields) })
}

// event makes the event of a delivery with the fields. Meaning is what tells facts of
// the status apart.
func (s *Source) event(d Delivery, fields map[string]json.RawMessage, meaning func(status string) ([]byte, error)) (*bridge.Event, error) {
	p := bridge.NewPredictionHead(fields)
	e := &bridge.Event{
		Source:       s.name,
		PredictionID: p.ID,
		Model:        p.Model,
		Status:       s.kind.Status(p.Status),
		RawStatus:    p.Status,
		Origin:       d.Origin,
		Time:         p.CompletedAt,
		ReceivedAt:   d.ReceivedAt,
		ContentType:  d.ContentType,
		TraceParent:  d.TraceParent,
		Query:        d.Query,
		Body:         d.Body,
	}
	if !mediatype.IsData(d.ContentType) {
		// The body was read as JSON, so that is what it is.
		e.ContentType, e.SentContentType = mediatype.JSON, d.ContentType
	}
	if names := s.kind.ProofHeaders(); len(names) > 0 {
		e.Signature = d.Proof.Get(names[0])
	}
	if e.Time.IsZero() {
		e.Time = d.ReceivedAt
	}
	if err := checkLimits(e); err != nil {
		return nil, err
	}
	// The age counts from the first receipt, so that a delivery which is read
	// again later is judged as it was then.
	if age := e.ReceivedAt.Sub(e.Time); !d.AnyAge && bridge.Terminal(e.Status) && s.maxAge > 0 && age > s.maxAge {
		return nil, unusable(CauseStale, "it came %v after the completion, deliveries are accepted for %v", age.Round(time.Second), s.maxAge)
	}
	told, err := meaning(e.Status)
	if err != nil {
		return nil, unusable(CauseSyntax, "%v", err)
	}
	e.ID = bridge.NewEventID(e.PredictionID, e.Status, told)
	e.Type = s.kind.EventType(e.Status)
	return e, nil
}

func checkLimits(e *bridge.Event) error {
	switch {
	case strings.TrimSpace(e.PredictionID) == "":
		return unusable(CauseNoID, `"id" is missing, blank or not a string`)
	case e.RawStatus == "":
		return unusable(CauseNoStatus, `"status" is missing, empty or not a string`)
	}
	for _, l := range []struct {
		what, value string
		limit       int
	}{
		{"id", e.PredictionID, bridge.MaxPredictionID},
		{"status", e.RawStatus, bridge.MaxStatus},
		{"content type", e.ContentType, bridge.MaxContentType},
		{"content type", e.SentContentType, bridge.MaxContentType},
		{"signature", e.Signature, bridge.MaxSignature},
	} {
		if len(l.value) > l.limit {
			return unusable(CauseTooLong, "%s has %d bytes, at most %d are possible", l.what, len(l.value), l.limit)
		}
	}
	if n := bridge.EncodedLen(e.Model); n > bridge.MaxModel {
		return unusable(CauseTooLong, "model has %d bytes when encoded, at most %d are possible", n, bridge.MaxModel)
	}
	for key, value := range e.Query {
		if n := bridge.EncodedLen(value); n > bridge.MaxQueryValue {
			return unusable(CauseTooLong, "query parameter %s has %d bytes when encoded, at most %d are possible", key, n, bridge.MaxQueryValue)
		}
	}
	return nil
}
