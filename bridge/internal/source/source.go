// Package source knows the senders: how each kind of provider proves a delivery and how a
// delivery becomes an event. It knows nothing of HTTP, so the same code reads a webhook, a
// kept delivery that is verified again and a polled answer.
package source

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/mediatype"
)

// ErrNotAuthentic means that nothing proves the configured sender: the signature is missing
// or wrong, or no secret is configured. The sender reads its text, so it says no more.
var ErrNotAuthentic = errors.New("signature missing or wrong")

// Cause says why a delivery cannot become an event. It is one token of a subject.
type Cause string

// Why an authentic delivery is not usable.
const (
	CauseEncoding     Cause = "encoding"      // not valid UTF-8
	CauseSyntax       Cause = "syntax"        // not one JSON object
	CauseDuplicateKey Cause = "duplicate_key" // an object has a name twice
	CauseDepth        Cause = "depth"         // nested too deep
	CauseNoID         Cause = "no_id"         // no prediction id
	CauseNoStatus     Cause = "no_status"
	CauseTooLong      Cause = "too_long" // an attribute exceeds its limit
	CauseStale        Cause = "stale"    // terminal, and older than the source's max age
)

// UnusableError is about a delivery that is authentic and cannot become an event. Sending
// it again does not help.
type UnusableError struct {
	Cause Cause
	// Detail is for people and holds no secret.
	Detail string
}

func (e *UnusableError) Error() string {
	return fmt.Sprintf("delivery is authentic but not usable (%s): %s", e.Cause, e.Detail)
}

// maxDetail bounds a detail in bytes: it quotes bodies, which can be megabytes of one name.
const maxDetail = 256

func unusable(cause Cause, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail], "") + "…"
	}
	return &UnusableError{Cause: cause, Detail: detail}
}

// Delivery is one request of a sender, without HTTP.
type Delivery struct {
	// Proof holds the [Kind.ProofHeaders] of the request, with every value that came.
	Proof bridge.Header
	// Body is the raw body. The event keeps it without a copy.
	Body        []byte
	ContentType string
	// Query holds the query parameters that the source allows.
	Query map[string]string
	// ReceivedAt is when the delivery first arrived; it is required.
	ReceivedAt time.Time
	// Origin is the event's, e.g. bridge.OriginWebhook.
	Origin      string
	TraceParent string
	// AnyAge accepts a delivery of any age: a person has looked at it.
	AnyAge bool
}

// Config describes one configured sender.
type Config struct {
	// Name must satisfy [bridge.CheckName].
	Name string
	// Kind is one of [Kinds].
	Kind string
	// Secrets are the active secrets, several during a rotation; empty ones are ignored.
	// Without a secret no delivery is authentic.
	Secrets [][]byte
	// Retired are former secrets. They prove nothing; [Source.Diagnose] knows them.
	Retired [][]byte
	// Place is where the secrets are configured, for texts. Default sources.<Name>.secrets.
	Place string
	// MaxAge is how long after its completion a terminal delivery is accepted; zero is no
	// limit. A signature without a time never expires, so an older delivery may be a
	// replayed capture. MaxAge plus the sender's retry span must fit into the event store's
	// duplicate window.
	MaxAge time.Duration
}

// Source turns the deliveries of one configured sender into events. It is safe
// for concurrent use.
type Source struct {
	name    string
	place   string
	kind    Kind
	secrets [][]byte
	retired [][]byte
	held    []string // secrets and retired ones, without surrounding white space
	maxAge  time.Duration
}

// New returns an error that names the invalid field of cfg.
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
		place:   cmp.Or(cfg.Place, "sources."+cfg.Name+".secrets"),
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

// notEmpty drops empty secrets, which everybody knows.
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

// Kind is the kind of the sender.
func (s *Source) Kind() Kind { return s.kind }

// HasSecret reports whether any secret is configured.
func (s *Source) HasSecret() bool { return len(s.secrets) > 0 }

// minHeld is the length in bytes from which a secret is searched for inside other texts.
// Shorter ones would match by accident.
const minHeld = 8

// Holds reports whether text holds an active or retired secret, so that it must not be
// kept.
func (s *Source) Holds(text string) bool {
	for _, secret := range s.held {
		if text == secret || len(secret) >= minHeld && strings.Contains(text, secret) {
			return true
		}
	}
	return false
}

// Accept verifies a delivery and returns its event. The error is [ErrNotAuthentic] or an
// [*UnusableError]; both are about the delivery, never about this side.
func (s *Source) Accept(d Delivery) (*bridge.Event, error) {
	if !s.kind.Verify(d.Proof, d.Body, s.secrets) {
		return nil, ErrNotAuthentic
	}
	return s.Read(d)
}

// Read is [Source.Accept] without the verification, for bodies whose origin is proved
// otherwise, such as polled answers.
func (s *Source) Read(d Delivery) (*bridge.Event, error) {
	fields, err := readFields(d.Body)
	if err != nil {
		return nil, err
	}
	return s.event(d, fields, func(status string) ([]byte, error) { return meaning(status, d.Body, fields) })
}

// event returns the event of a delivery with the fields. Meaning tells facts with the
// status apart.
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
		// The body was read as JSON.
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
	// The age counts from the first receipt, so a delivery that is read again later is
	// judged as before.
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
