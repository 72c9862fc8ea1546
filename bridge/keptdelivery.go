package bridge

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of what is kept of a delivery beside its body, in bytes as it travels.
// Together they leave room in the 64 KiB that a message's header may have.
const (
	// maxKeptHeaders is how many of a request's headers are kept, and
	// MaxKeptHeaderBytes what they may take together.
	maxKeptHeaders     = 64
	MaxKeptHeaderBytes = 16 << 10
	// maxKeptProofBytes is what the headers that prove a delivery may take.
	maxKeptProofBytes = 4 << 10
	// MaxKeptText bounds the other texts, each.
	MaxKeptText = 1 << 10
)

// CausePathToken is the cause of a delivery whose URL did not end in the path
// token of its source. Its signature may be right, which is not enough.
const CausePathToken = "path_token"

// KeptDelivery is one delivery that did not become an event: it was authentic and
// not usable, or not authentic. It holds what is needed to verify and read it
// again, and nothing secret: whoever makes one leaves cookies, credentials and
// path tokens out.
type KeptDelivery struct {
	// Source is the name of the configured sender whose URL it came to.
	Source string
	// Cause is one token of a subject. Detail says it for people.
	Cause  string
	Detail string
	// ReceivedAt is when it arrived.
	ReceivedAt time.Time
	// RemoteAddr is the address it came from, without a port.
	RemoteAddr string
	// RequestID is what its sender was given as X-Request-Id.
	RequestID   string
	ContentType string
	TraceParent string
	// Proof holds the headers that prove a delivery of its kind, with every
	// value that came. Header holds the others. Both have canonical HTTP names;
	// see [KeptDelivery.AddProof] and [KeptDelivery.AddHeader].
	Proof  Header
	Header Header
	// HeadersCut is how many headers were left out for want of room.
	HeadersCut int
	// Query holds the query parameters that the source allows.
	Query map[string]string
	// Body is what is kept of the body, which had BodyBytes bytes as far as that
	// is known.
	Body      []byte
	BodyBytes int64
	// Truncated is set when something is missing that would be needed to verify
	// or read the delivery again.
	Truncated bool

	headerBytes, proofBytes int // what Header and Proof take
}

// AddHeader keeps a header of the request, if there is room for it. A name is
// added once.
func (w *KeptDelivery) AddHeader(name string, values []string) {
	size := headerBytes(name, values)
	if len(w.Header) >= maxKeptHeaders || w.headerBytes+size > MaxKeptHeaderBytes {
		w.HeadersCut++
		return
	}
	if w.Header == nil {
		w.Header = make(Header)
	}
	w.headerBytes += size
	w.Header[name] = values
}

// AddProof keeps a header that proves the delivery. Without room for it the
// delivery is [KeptDelivery.Truncated]. A name is added once.
func (w *KeptDelivery) AddProof(name string, values []string) {
	size := headerBytes(name, values)
	if w.proofBytes+size > maxKeptProofBytes {
		w.Truncated = true
		return
	}
	if w.Proof == nil {
		w.Proof = make(Header)
	}
	w.proofBytes += size
	w.Proof[name] = values
}

// AddQuery keeps a query parameter that is not empty. Without room for it the delivery is
// [KeptDelivery.Truncated].
func (w *KeptDelivery) AddQuery(name, value string) {
	if value == "" {
		return
	}
	if EncodedLen(value) > MaxQueryValue || len(w.Query) >= MaxQueryKeys {
		w.Truncated = true
		return
	}
	if w.Query == nil {
		w.Query = make(map[string]string)
	}
	w.Query[name] = value
}

// HeaderBytes is what the headers and the proof take.
func (w *KeptDelivery) HeaderBytes() int { return w.headerBytes + w.proofBytes }

// headerBytes is what a header takes on the wire.
func headerBytes(name string, values []string) int {
	n := len(name)
	for _, v := range values {
		n += len(name) + EncodedLen(v)
	}
	return n
}

// MsgID is the message id of the delivery: the same for the same proof, body and
// query, so that a sender's retry of an unusable delivery is a duplicate.
func (w *KeptDelivery) MsgID() string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(w.Proof)) {
		writeSized(sum, name)
		for _, v := range w.Proof[name] {
			writeSized(sum, v)
		}
	}
	writeSized(sum, "")
	for _, name := range slices.Sorted(maps.Keys(w.Query)) {
		writeSized(sum, name)
		writeSized(sum, w.Query[name])
	}
	writeSized(sum, "")
	sum.Write(w.Body)
	return MsgID("withheld", w.Source, hex.EncodeToString(sum.Sum(nil)[:16]))
}

// writeSized writes s so that two texts in a row mean something else than their
// sum in two other parts.
func writeSized(sum hash.Hash, s string) {
	sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
	sum.Write([]byte(s))
}

// Message returns the header that the delivery is stored with, without
// [HeaderMsgID]; its payload is Body. Texts over [MaxKeptText] are cut.
func (w *KeptDelivery) Message() Header {
	h := make(Header, 12+len(w.Proof)+len(w.Header)+len(w.Query))
	h.Set(headerKeptSource, w.Source)
	h.Set(headerKeptCause, w.Cause)
	h.Set(headerKeptDetail, cutText(w.Detail))
	h.Set(headerReceivedAt, formatTime(w.ReceivedAt))
	h.Set(headerKeptRemote, cutText(w.RemoteAddr))
	h.Set(headerKeptRequest, cutText(w.RequestID))
	h.Set(headerDataContentType, cutText(w.ContentType))
	h.Set(HeaderTraceParent, w.TraceParent)
	h.Set(headerKeptBytes, strconv.FormatInt(w.BodyBytes, 10))
	if w.HeadersCut > 0 {
		h.Set(headerKeptCut, strconv.Itoa(w.HeadersCut))
	}
	if w.Truncated || cutText(w.ContentType) != w.ContentType {
		h.Set(headerKeptTruncated, "true")
	}
	for name, value := range w.Query {
		h.Set(headerQueryPrefix+name, value)
	}
	h.setAll(headerKeptProof, w.Proof)
	h.setAll(headerKeptHeader, w.Header)
	return h
}

// setAll puts every value of from under its name in lower case behind prefix.
// The values of one name stay apart: how many came is part of what was proved.
func (h Header) setAll(prefix string, from Header) {
	for name, values := range from {
		encoded := make([]string, len(values))
		for i, v := range values {
			encoded[i] = encodePercent(v)
		}
		h[prefix+strings.ToLower(name)] = encoded
	}
}

// cutText cuts s so that it takes at most MaxKeptText bytes as a value.
func cutText(s string) string {
	for EncodedLen(s) > MaxKeptText {
		s = strings.ToValidUTF8(s[:min(len(s)-1, MaxKeptText)], "")
		if EncodedLen(s) > MaxKeptText {
			s = s[:len(s)*2/3]
		}
	}
	return s
}

var errNotKept = errors.New("not a delivery that Hookspan kept")

// DecodeKept reads the delivery out of a message. Body is kept, not copied.
// An error names the header that is missing or cannot be read.
func DecodeKept(h Header, body []byte) (*KeptDelivery, error) {
	d := headerReader{header: h, sentinel: errNotKept}
	w := &KeptDelivery{
		Source:      d.required(headerKeptSource),
		Cause:       d.required(headerKeptCause),
		Detail:      d.value(headerKeptDetail),
		ReceivedAt:  d.time(headerReceivedAt),
		RemoteAddr:  d.value(headerKeptRemote),
		RequestID:   d.value(headerKeptRequest),
		ContentType: d.value(headerDataContentType),
		TraceParent: d.value(HeaderTraceParent),
		BodyBytes:   d.number(headerKeptBytes),
		HeadersCut:  int(d.number(headerKeptCut)),
		Body:        body,
		Truncated:   d.value(headerKeptTruncated) == "true",
	}
	// In order, so that what does not fit is the same each time.
	for _, key := range slices.Sorted(maps.Keys(h)) {
		if name, ok := strings.CutPrefix(key, headerQueryPrefix); ok {
			w.AddQuery(name, d.value(key))
		}
		if name, ok := strings.CutPrefix(key, headerKeptProof); ok {
			w.AddProof(d.name(key, name), d.values(key))
		}
		if name, ok := strings.CutPrefix(key, headerKeptHeader); ok {
			w.AddHeader(d.name(key, name), d.values(key))
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	return w, nil
}

// name is the HTTP name that was written in lower case at the end of key.
func (d *headerReader) name(key, lower string) string {
	for i := range len(lower) {
		if c := lower[i]; mustEscape(c) && c != '%' || c >= 'A' && c <= 'Z' || strings.IndexByte(`(),/:;<=>?@[\]{}`, c) >= 0 {
			d.fail(key, fmt.Errorf("is not the name of a header"))
		}
	}
	return textproto.CanonicalMIMEHeaderKey(lower)
}

func (d *headerReader) number(key string) int64 {
	v := d.value(key)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err == nil && n < 0 {
		err = fmt.Errorf("is negative")
	}
	if err != nil {
		d.fail(key, err)
	}
	return n
}

func (d *headerReader) values(key string) []string {
	out := make([]string, len(d.header[key]))
	for i, v := range d.header[key] {
		var err error
		if out[i], err = decodePercent(v); err != nil {
			d.fail(key, err)
		}
	}
	return out
}
