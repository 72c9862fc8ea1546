// Package source knows the senders: how each kind of provider proves a delivery and how a
// delivery becomes an event. It knows nothing of HTTP, so the same code reads a webhook, a
// kept delivery that is verified again and a polled answer.
package source

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/mediatype"
	"github.com/hookspan/hookspan/internal/printable"
)

var (
	// ErrNotAuthentic means that nothing proves the configured sender: the signature is missing
	// or wrong, or no secret is configured. The sender reads its text, so it says no more.
	ErrNotAuthentic = errors.New("signature missing or wrong")
	// ErrNoKeys means that the sender's public keys cannot be had now, so nobody can say whether
	// a delivery is authentic.
	ErrNoKeys = errors.New("the public keys of the sender cannot be had")
)

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
	// Kind is one of [Kinds]. Options change what the kind says.
	Kind    string
	Options Options
	// HasKey: the provider's API can be asked.
	HasKey bool
	// FetchKeys gets the document of a sender's public keys; nil for kinds that have none.
	FetchKeys FetchKeys
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
	kind    *Kind
	hasKey  bool
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
	kind, err := Customize(cfg.Kind, cfg.Options)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", cfg.Name, err)
	}
	if keys, is := kind.Proof.(*ed25519Keys); is {
		kind.Proof = keys.with(cfg.FetchKeys)
	}
	if cfg.MaxAge < 0 {
		return nil, fmt.Errorf("source %s: max age is %v, it cannot be negative", cfg.Name, cfg.MaxAge)
	}
	s := &Source{
		name:    cfg.Name,
		place:   cmp.Or(cfg.Place, "sources."+cfg.Name+".secrets"),
		kind:    kind,
		hasKey:  cfg.HasKey,
		secrets: notEmpty(cfg.Secrets),
		retired: notEmpty(cfg.Retired),
		maxAge:  cfg.MaxAge,
	}
	if kind.Proof != nil {
		for _, secret := range s.secrets {
			if err := kind.Proof.CheckSecret(secret); err != nil {
				return nil, fmt.Errorf("%s: %w", s.place, err)
			}
		}
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

// Kind is the kind of the sender, with the source's options.
func (s *Source) Kind() *Kind { return s.kind }

// HasSecret reports whether deliveries can be proved: a secret is configured, or the kind needs
// none.
func (s *Source) HasSecret() bool { return len(s.secrets) > 0 || !s.kind.NeedsSecret() }

// Confirms reports whether a delivery only tells that the provider is to be asked.
func (s *Source) Confirms() bool {
	return s.kind.Confirms(s.hasKey)
}

// TellsProgress reports whether an event of the source tells of progress only, so that nothing is
// kept of it.
func (s *Source) TellsProgress(e *bridge.Event) bool {
	return slices.Contains(s.kind.Body.Progress, e.Status) || s.Confirms() && !bridge.Terminal(e.Status)
}

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
// [*UnusableError], which are about the delivery; or it wraps [ErrNoKeys], which is about this
// side.
func (s *Source) Accept(d Delivery) (*bridge.Event, error) {
	if err := s.verify(&d); err != nil {
		return nil, err
	}
	d.AnyAge = d.AnyAge || s.Confirms() // the provider will say how things are now
	e, err := s.Read(d)
	if err != nil && s.Unproved() {
		return nil, ErrNotAuthentic // whoever it was, the quarantine is not for strangers
	}
	return e, err
}

// Unproved reports whether nothing at all proves a delivery.
func (s *Source) Unproved() bool { return s.kind.Proof == nil && s.kind.Confirm == ConfirmAlways }

func (s *Source) verify(d *Delivery) error {
	switch {
	case s.kind.NoWebhook || !s.HasSecret():
		return ErrNotAuthentic
	case s.kind.Proof == nil: // the path token, or what the provider answers
		return nil
	}
	return s.kind.Proof.Verify(d, s.secrets)
}

// Read is [Source.Accept] without the verification, for bodies whose origin is proved otherwise.
func (s *Source) Read(d Delivery) (*bridge.Event, error) {
	fields, err := readFields(d.Body)
	if err != nil {
		return nil, err
	}
	return s.event(d, s.kind.Body.read(d.Body, fields), meaning)
}

// ReadAnswer returns the event of the API's answer about the prediction with the id. Its own error
// is about an answer that names another prediction.
func (s *Source) ReadAnswer(d Delivery, id string) (*bridge.Event, error) {
	fields, err := readFields(d.Body)
	if err != nil {
		return nil, err
	}
	t := s.kind.Answer.read(d.Body, fields)
	if len(s.kind.Answer.ID) == 0 {
		t.id = id
	}
	e, err := s.event(d, t, meaning)
	if err == nil && e.PredictionID != id {
		return nil, fmt.Errorf("the answer is about prediction %q", printable.Truncate(e.PredictionID, maxDetail))
	}
	return e, err
}

// event returns the event of a delivery that tells t. Meaning tells facts with the same status
// apart.
func (s *Source) event(d Delivery, t told, meaning func(e *bridge.Event, t told) ([]byte, error)) (*bridge.Event, error) {
	e := &bridge.Event{
		Source:       s.name,
		PredictionID: t.id,
		Model:        t.model,
		Status:       t.status,
		RawStatus:    t.rawStatus,
		Origin:       d.Origin,
		Time:         t.completedAt,
		ReceivedAt:   d.ReceivedAt,
		ContentType:  d.ContentType,
		TraceParent:  d.TraceParent,
		Query:        d.Query,
		Fields:       t.fields,
		Body:         d.Body,
	}
	if !mediatype.IsData(d.ContentType) {
		// The body was read as JSON.
		e.ContentType, e.SentContentType = mediatype.JSON, d.ContentType
	}
	s.setProof(e, d.Proof)
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
	told, err := meaning(e, t)
	if err != nil {
		return nil, unusable(CauseSyntax, "%v", err)
	}
	e.ID = bridge.NewEventID(e.PredictionID, e.Status, told)
	e.Type = s.kind.EventType(e.Status)
	return e, nil
}

// setProof keeps what proves the delivery with its event, unless that is the secret itself.
func (s *Source) setProof(e *bridge.Event, proof bridge.Header) {
	if IsPrivate(s.kind.Proof) {
		return
	}
	for i, name := range s.kind.ProofHeaders() {
		value := proof.Get(name)
		switch {
		case i == 0:
			e.Signature = value
		case value != "":
			if e.Proof == nil {
				e.Proof = make(map[string]string, 2)
			}
			e.Proof[name] = value
		}
	}
}

func checkLimits(e *bridge.Event) error {
	switch {
	case strings.TrimSpace(e.PredictionID) == "":
		return unusable(CauseNoID, "the id is missing, blank or not a string")
	case e.RawStatus == "":
		return unusable(CauseNoStatus, "the status is missing, empty or not a string")
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
	for name, value := range e.Proof {
		if len(value) > bridge.MaxSignature {
			return unusable(CauseTooLong, "%s has %d bytes, at most %d are possible", name, len(value), bridge.MaxSignature)
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
