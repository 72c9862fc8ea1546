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
	OriginWebhook = "webhook" // a webhook told of it
	OriginPoll    = "poll"    // the provider's answer to a question of ours did
	OriginArchive = "archive" // the archive did
	OriginWatch   = "watch"   // whoever watches or submits the prediction did
	// OriginClaim: a program of another team announced it over NATS. Nobody has checked
	// that there is such a prediction.
	OriginClaim      = "claim"
	OriginReconciler = "reconciler" // the reconciler did, which polls predictions
)

// Limits of what one event can carry, in bytes. What exceeds them is not usable
// as an event. MaxModel and MaxQueryValue count the percent-encoded value, as it
// travels. Together they leave a dead letter's header room for its history.
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

// Event is one fact about a prediction, told by its provider, or by the bridge about
// what it did itself: see [Event.Kind]. It is stored once, however often and by
// whatever way the fact arrives. Treat it as read-only: the same event may be
// handled by several goroutines.
type Event struct {
	// ID identifies the fact: "<prediction id>/<status>/<digest>". It is the
	// same for a retry, for a copy and for every attempt to handle the event,
	// so it is the key to make effects idempotent with.
	ID string
	// Source is the name of the configured sender.
	Source string
	// Type is the CloudEvents type, e.g. com.get3w.prediction.completed.v1.
	Type string

	PredictionID string
	// Model is as the sender wrote it; empty when it said none.
	Model string
	// Status is normalised, RawStatus is what the sender said.
	Status    string
	RawStatus string
	// Origin says how the event came here, e.g. [OriginWebhook].
	Origin string

	// Time is when the fact came about: completed_at, else ReceivedAt.
	Time time.Time
	// ReceivedAt is when the first delivery arrived here.
	ReceivedAt time.Time

	// ContentType is the media type of Body: what the sender called it if that is one,
	// else application/json. SentContentType is then what the sender called
	// it, and empty otherwise, also when the sender called it nothing.
	ContentType     string
	SentContentType string
	// Signature is the sender's signature header as it came, so that anyone who
	// has the secret can verify Body again.
	Signature string
	// TraceParent is the W3C trace context of this hop.
	TraceParent string
	// Query holds the query parameters of the webhook URL that the source
	// allows. The signature does not cover them.
	Query map[string]string

	// Body is the sender's body, byte for byte.
	Body []byte

	// Subject and Sequence say where the event was read from; both are zero
	// before it is stored.
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
	// KindLost: the prediction store gave a watched prediction up; see [Lost].
	KindLost = "watch.lost"
)

// Kinds of events, all of them.
var eventKinds = []string{KindPrediction, KindArchived, KindWatch, KindLost}

// typePrefix and the kind are the CloudEvents type of what the bridge tells itself.
const typePrefix = "com.hookspan."

// CloudEvents types of the events of the kinds that the bridge tells of itself.
const (
	TypeArchived = typePrefix + KindArchived
	TypeWatch    = typePrefix + KindWatch
	TypeLost     = typePrefix + KindLost
)

// Kind says what sort of fact the event is: what its body is like, and on which
// subject it lies.
func (e *Event) Kind() string {
	switch e.Type {
	case TypeArchived, TypeWatch, TypeLost:
		return e.Type[len(typePrefix):]
	}
	return KindPrediction
}

// Prediction reads the prediction out of the body, see [ParsePrediction]. The error
// wraps [ErrOtherKind] when the event is no prediction's: its body is another one,
// although it too is a JSON object with outputs.
func (e *Event) Prediction() (*Prediction, error) {
	return readBody(e, KindPrediction, "prediction", ParsePrediction)
}

// Archived reads which outputs are archived out of the body; unknown fields are left out.
// The error wraps [ErrOtherKind] when the event is of another kind than [KindArchived].
func (e *Event) Archived() (*Archived, error) {
	return readBody(e, KindArchived, "what is archived", parse[Archived])
}

// Watch reads who waits for the prediction out of the body; unknown fields are left out.
// The error wraps [ErrOtherKind] when the event is of another kind than [KindWatch].
func (e *Event) Watch() (*Watch, error) {
	return readBody(e, KindWatch, "a watch", parse[Watch])
}

// Lost reads why the prediction was given up out of the body; unknown fields are left out.
// The error wraps [ErrOtherKind] when the event is of another kind than [KindLost].
func (e *Event) Lost() (*Lost, error) {
	return readBody(e, KindLost, "why a prediction was given up", parse[Lost])
}

// readBody reads the body of an event of the kind.
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

// parse reads a JSON object.
func parse[T any](body []byte) (*T, error) {
	var value *T
	err := json.Unmarshal(body, &value)
	if err == nil && value == nil {
		err = errors.New("it is null, not an object")
	}
	return value, err
}

// MsgID is the event's message id, by which a stream knows a duplicate.
func (e *Event) MsgID() string { return MsgID(e.Source, e.ID) }

// NewEventID returns the id of the fact that a prediction has the status.
// Meaning is what tells two facts with the same status apart: for a terminal
// status the canonical JSON of what was produced, otherwise the raw body.
func NewEventID(predictionID, status string, meaning []byte) string {
	sum := sha256.Sum256(meaning)
	return predictionID + "/" + status + "/" + hex.EncodeToString(sum[:8])
}

// Header returns the header that the event travels with: CloudEvents 1.0 binary
// mode, without [HeaderMsgID], which belongs to one copy of it.
func (e *Event) Header() Header {
	h := make(Header, 16+len(e.Query))
	h.Set(headerSpecVersion, "1.0")
	h.Set(headerID, e.ID)
	h.Set(headerSource, "/sources/"+e.Source)
	h.Set(headerType, e.Type)
	h.Set(headerSubject, e.PredictionID)
	h.Set(headerTime, formatTime(e.Time))
	h.Set(headerDataContentType, e.ContentType)
	h.Set(headerSentContentType, e.SentContentType)
	h.Set(headerModel, e.Model)
	h.Set(headerStatus, e.Status)
	h.Set(headerRawStatus, e.RawStatus)
	h.Set(headerOrigin, e.Origin)
	h.Set(headerReceivedAt, formatTime(e.ReceivedAt))
	h.Set(headerSignature, e.Signature)
	h.Set(HeaderTraceParent, e.TraceParent)
	for key, value := range e.Query {
		h.Set(headerQueryPrefix+key, value)
	}
	return h
}

// DecodeEvent reads the event out of a message. Body is kept, not copied. The
// error wraps [ErrNotEvent] when a required attribute is missing or a value
// cannot be read.
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
	}
	if d.err != nil {
		return nil, d.err
	}
	return e, nil
}

// headerReader reads values and keeps the first thing that was wrong.
type headerReader struct {
	header   Header
	sentinel error // what err wraps
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
