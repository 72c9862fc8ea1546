package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Origins of events.
const (
	OriginWebhook = "webhook" // a webhook delivered it
	OriginPoll    = "poll"    // the provider's API answered a poll with it
	OriginArchive = "archive" // the archive published it
	OriginWatch   = "watch"   // a client that watches or submits the prediction announced it
	// OriginClaim: a program of another team announced the prediction over NATS. Nobody has
	// checked that the prediction exists.
	OriginClaim      = "claim"
	OriginReconciler = "reconciler" // the poller published it
)

// Limits of one event, in bytes; a delivery beyond them is not usable. MaxModel and
// MaxQueryValue count the percent-encoded value. Together they leave a dead letter's header
// room for its history.
const (
	MaxPredictionID = 256
	MaxStatus       = 64
	MaxModel        = 4 << 10
	MaxContentType  = 1 << 10
	MaxSignature    = 1 << 10
	MaxQueryValue   = 1 << 10
	// MaxQueryKeys is how many query parameters a source can allow.
	MaxQueryKeys = 8
)

// Event is one fact about a prediction, told by its provider or by the bridge itself: see
// [Event.Kind]. A fact is stored once, however often and by whatever way it arrives. Events
// are read-only: several goroutines may handle the same one.
type Event struct {
	// ID identifies the fact: "<prediction id>/<status>/<digest>". Retries, copies and
	// attempts all have the same id, so handlers can make their effects idempotent with it.
	ID string
	// Source is the name of the configured sender.
	Source string
	// Type is the CloudEvents type, e.g. com.get3w.prediction.completed.v1.
	Type string

	PredictionID string
	// Model is as the sender wrote it; empty when it named none.
	Model string
	// Status is normalised, RawStatus is as the sender wrote it.
	Status    string
	RawStatus string
	Origin    string

	// Time is when the fact came about: completed_at, else ReceivedAt.
	Time time.Time
	// ReceivedAt is when the first delivery arrived here.
	ReceivedAt time.Time

	// ContentType is the media type of Body: the sender's if it is one, else
	// application/json. SentContentType is the sender's text when ContentType replaces it,
	// otherwise empty.
	ContentType     string
	SentContentType string
	// Signature is the sender's signature header as it came: with the secret, anyone can
	// verify Body again.
	Signature string
	// Proof holds the other headers that prove a delivery, such as the time that Signature
	// covers, by their canonical HTTP names.
	Proof map[string]string
	// Fields says where Body has the outputs and the error; zero for a body as Get3W writes it.
	Fields Fields
	// TraceParent is the W3C trace context of this hop.
	TraceParent string
	// Query holds the query parameters of the webhook URL that the source allows. The
	// signature does not cover them.
	Query map[string]string

	// Body is the sender's body, byte for byte.
	Body []byte

	// Subject and Sequence are where the event was read; both are zero before it is stored.
	Subject  string
	Sequence uint64
}

// Kinds of events.
const (
	// KindPrediction: a provider told of one of its predictions.
	KindPrediction = "prediction"
	// KindArchived: the outputs of a prediction are archived; see [Archived].
	KindArchived = "outputs.archived"
	// KindWatch: somebody waits for the end of a prediction; see [Watch].
	KindWatch = "watch.set"
	// KindLost: polling gave up a watched prediction; see [Lost].
	KindLost = "watch.lost"
	// KindErased: a prediction was erased for good; see [Erased].
	KindErased = "prediction.erased"
)

var eventKinds = []string{KindPrediction, KindArchived, KindWatch, KindLost, KindErased}

// typePrefix and the kind make the CloudEvents type of an event that the bridge itself
// tells.
const typePrefix = "com.hookspan."

// CloudEvents types of the events that the bridge itself tells.
const (
	TypeArchived = typePrefix + KindArchived
	TypeWatch    = typePrefix + KindWatch
	TypeLost     = typePrefix + KindLost
	TypeErased   = typePrefix + KindErased
)

// Kind is one of the Kind… constants. It determines what Body holds and which subjects the
// event is stored under.
func (e *Event) Kind() string {
	switch e.Type {
	case TypeArchived, TypeWatch, TypeLost, TypeErased:
		return e.Type[len(typePrefix):]
	}
	return KindPrediction
}

// Prediction decodes the body by the event's Fields, whichever provider has written it: see
// [ParsePrediction] and [Fields]. The error wraps [ErrOtherKind] when the event is not of
// [KindPrediction]: other bodies are JSON objects with outputs too.
func (e *Event) Prediction() (*Prediction, error) {
	if e.Fields == (Fields{}) {
		return readBody(e, KindPrediction, "prediction", ParsePrediction)
	}
	return readBody(e, KindPrediction, "prediction", func(body []byte) (*Prediction, error) {
		p, err := predictionAt(body, e.Fields)
		if err == nil {
			p.ID, p.Model, p.Status = e.PredictionID, e.Model, e.RawStatus
		}
		return p, err
	})
}

// Archived decodes the body and ignores unknown fields. The error wraps [ErrOtherKind] when
// the event is not of [KindArchived].
func (e *Event) Archived() (*Archived, error) {
	return readBody(e, KindArchived, "what is archived", parse[Archived])
}

// Watch decodes the body and ignores unknown fields. The error wraps [ErrOtherKind] when
// the event is not of [KindWatch].
func (e *Event) Watch() (*Watch, error) {
	return readBody(e, KindWatch, "a watch", parse[Watch])
}

// Lost decodes the body and ignores unknown fields. The error wraps [ErrOtherKind] when the
// event is not of [KindLost].
func (e *Event) Lost() (*Lost, error) {
	return readBody(e, KindLost, "why a prediction was given up", parse[Lost])
}

// Erased decodes the body and ignores unknown fields. The error wraps [ErrOtherKind] when
// the event is not of [KindErased].
func (e *Event) Erased() (*Erased, error) {
	return readBody(e, KindErased, "what was erased", parse[Erased])
}

func readBody[T any](e *Event, kind, what string, read func(body []byte) (*T, error)) (*T, error) {
	if have := e.Kind(); have != kind {
		return nil, fmt.Errorf("reading %s: %w: %s", what, ErrOtherKind, have)
	}
	body, err := read(e.Body)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	return body, nil
}

func parse[T any](body []byte) (*T, error) {
	var value *T
	err := json.Unmarshal(body, &value)
	if err == nil && value == nil {
		err = errors.New("it is null, not an object")
	}
	return value, err
}

// MsgID is the event's message id, by which streams recognise duplicates.
func (e *Event) MsgID() string { return MsgID(e.Source, e.ID) }

// NewEventID returns the id of the fact that a prediction has the status. Meaning tells
// facts with the same status apart: the canonical JSON of the results for a terminal
// status, otherwise the raw body.
func NewEventID(predictionID, status string, meaning []byte) string {
	sum := sha256.Sum256(meaning)
	return predictionID + "/" + status + "/" + hex.EncodeToString(sum[:8])
}

// Header returns the event's header in CloudEvents 1.0 binary mode. It lacks [HeaderMsgID],
// which differs between copies.
func (e *Event) Header() Header {
	most := 17 + len(e.Query) + len(e.Proof)
	h := make(Header, most)
	values := make([]string, 0, most) // one allocation for all
	set := func(key, value string) {
		if value != "" {
			values = append(values, encodePercent(value))
			h[key] = values[len(values)-1 : len(values) : len(values)]
		}
	}
	set(headerSpecVersion, "1.0")
	set(headerID, e.ID)
	set(headerSource, "/sources/"+e.Source)
	set(headerType, e.Type)
	set(headerSubject, e.PredictionID)
	set(headerTime, formatTime(e.Time))
	set(headerDataContentType, e.ContentType)
	set(headerSentContentType, e.SentContentType)
	set(headerModel, e.Model)
	set(headerStatus, e.Status)
	set(headerRawStatus, e.RawStatus)
	set(headerOrigin, e.Origin)
	set(headerReceivedAt, formatTime(e.ReceivedAt))
	set(headerSignature, e.Signature)
	set(HeaderFields, e.Fields.String())
	set(HeaderTraceParent, e.TraceParent)
	for name, value := range e.Proof {
		set(headerProof+strings.ToLower(name), value)
	}
	for key, value := range e.Query {
		set(headerQueryPrefix+key, value)
	}
	return h
}

// DecodeEvent decodes a message. The event keeps body without a copy. The error wraps
// [ErrNotEvent] when a required attribute is missing or a value cannot be read.
func DecodeEvent(h Header, body []byte) (*Event, error) {
	d := headerReader{header: h, sentinel: ErrNotEvent}
	e := &Event{
		ID:           d.required(headerID),
		Type:         d.required(headerType),
		PredictionID: d.required(headerSubject),
		Status:       d.required(headerStatus),
		Model:        d.value(headerModel),
		RawStatus:    d.value(headerRawStatus),
		Origin:       d.value(headerOrigin),
		Time:         d.time(headerTime),
		ReceivedAt:   d.time(headerReceivedAt),
		ContentType:  d.value(headerDataContentType),
		Signature:    d.value(headerSignature),
		TraceParent:  d.value(HeaderTraceParent),
		Body:         body,

		SentContentType: d.value(headerSentContentType),
	}
	source, ok := strings.CutPrefix(d.required(headerSource), "/sources/")
	if !ok {
		d.fail(headerSource, fmt.Errorf("does not begin with /sources/"))
	}
	e.Source = source
	if v := d.required(headerSpecVersion); v != "1.0" {
		d.fail(headerSpecVersion, fmt.Errorf("is %q, not 1.0", v))
	}
	for key := range h {
		if name, ok := strings.CutPrefix(key, headerQueryPrefix); ok {
			if e.Query == nil {
				e.Query = make(map[string]string)
			}
			e.Query[name] = d.value(key)
		}
		if name, ok := strings.CutPrefix(key, headerProof); ok {
			if e.Proof == nil {
				e.Proof = make(map[string]string)
			}
			e.Proof[d.name(key, name)] = d.value(key)
		}
	}
	var err error
	if e.Fields, err = parseFields(d.value(HeaderFields)); err != nil {
		d.fail(HeaderFields, err)
	}
	if d.err != nil {
		return nil, d.err
	}
	return e, nil
}

// headerReader decodes values and keeps the first error.
type headerReader struct {
	header   Header
	sentinel error // wrapped by err
	err      error
}

func (d *headerReader) fail(key string, err error) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: header %s: %w", d.sentinel, key, err)
	}
}

func (d *headerReader) value(key string) string {
	v, err := d.header.Value(key)
	if err != nil {
		d.fail(key, err)
	}
	return v
}

func (d *headerReader) required(key string) string {
	v := d.value(key)
	if v == "" {
		d.fail(key, fmt.Errorf("is missing"))
	}
	return v
}

func (d *headerReader) time(key string) time.Time {
	v := d.value(key)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		d.fail(key, err)
	}
	return t
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
