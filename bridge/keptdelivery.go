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

// Limits of a kept delivery beside its body, in encoded bytes. Together they fit into the
// 64 KiB that a message's header may have.
const (
	// maxKeptHeaders bounds the number of request headers, MaxKeptHeaderBytes their total
	// size.
	maxKeptHeaders     = 64
	MaxKeptHeaderBytes = 16 << 10
	// maxKeptProofBytes bounds the headers that prove a delivery.
	maxKeptProofBytes = 4 << 10
	// MaxKeptText bounds each of the other texts.
	MaxKeptText = 1 << 10
)

// CausePathToken means that the URL did not end in the source's path token. A right signature does
// not make up for that.
const CausePathToken = "path_token"

// CauseUnconfirmed means that the provider did not confirm what a delivery says.
const CauseUnconfirmed = "unconfirmed"

// KeptDelivery is a delivery that did not become an event: it was not authentic, or
// authentic and not usable. It holds enough to verify and read it again, and no secret: its
// maker leaves out cookies, credentials and path tokens.
type KeptDelivery struct {
	// Source is the configured sender whose URL the delivery came to.
	Source string
	// Cause is one token of a subject. Detail explains it to people.
	Cause      string
	Detail     string
	ReceivedAt time.Time
	// RemoteAddr is the sender's address, without a port.
	RemoteAddr string
	// RequestID is the X-Request-Id of the answer.
	RequestID   string
	ContentType string
	TraceParent string
	// Proof holds the headers that prove a delivery of the source's kind, with every value
	// that came; Header holds the others. Both have canonical HTTP names; see
	// [KeptDelivery.AddProof] and [KeptDelivery.AddHeader].
	Proof  Header
	Header Header
	// HeadersCut counts the headers that were left out for want of room.
	HeadersCut int
	// Query holds the query parameters that the source allows.
	Query map[string]string
	// Body is the stored part of the body. BodyBytes is the body's full size as far as it
	// is known.
	Body      []byte
	BodyBytes int64
	// Truncated: a part that is needed to verify or read the delivery again is missing.
	Truncated bool

	headerBytes, proofBytes int // sizes of Header and Proof
}

// AddHeader adds a request header if there is room. Add each name once.
func (k *KeptDelivery) AddHeader(name string, values []string) {
	size := headerBytes(name, values)
	if len(k.Header) >= maxKeptHeaders || k.headerBytes+size > MaxKeptHeaderBytes {
		k.HeadersCut++
		return
	}
	if k.Header == nil {
		k.Header = make(Header)
	}
	k.headerBytes += size
	k.Header[name] = values
}

// AddProof adds a header that proves the delivery. Without room it sets Truncated. Add each
// name once.
func (k *KeptDelivery) AddProof(name string, values []string) {
	size := headerBytes(name, values)
	if k.proofBytes+size > maxKeptProofBytes {
		k.Truncated = true
		return
	}
	if k.Proof == nil {
		k.Proof = make(Header)
	}
	k.proofBytes += size
	k.Proof[name] = values
}

// AddQuery adds a query parameter that is not empty. Without room it sets Truncated.
func (k *KeptDelivery) AddQuery(name, value string) {
	if value == "" {
		return
	}
	if EncodedLen(value) > MaxQueryValue || len(k.Query) >= MaxQueryKeys {
		k.Truncated = true
		return
	}
	if k.Query == nil {
		k.Query = make(map[string]string)
	}
	k.Query[name] = value
}

// HeaderBytes is the size of the headers and the proof, in encoded bytes.
func (k *KeptDelivery) HeaderBytes() int { return k.headerBytes + k.proofBytes }

func headerBytes(name string, values []string) int {
	n := len(name)
	for _, v := range values {
		n += len(name) + EncodedLen(v)
	}
	return n
}

// MsgID is the message id of the delivery. It depends on proof, query and body, so a
// sender's retry of an unusable delivery is a duplicate.
func (k *KeptDelivery) MsgID() string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(k.Proof)) {
		writeSized(sum, name)
		for _, v := range k.Proof[name] {
			writeSized(sum, v)
		}
	}
	writeSized(sum, "")
	for _, name := range slices.Sorted(maps.Keys(k.Query)) {
		writeSized(sum, name)
		writeSized(sum, k.Query[name])
	}
	writeSized(sum, "")
	sum.Write(k.Body)
	return MsgID("withheld", k.Source, hex.EncodeToString(sum.Sum(nil)[:16]))
}

// writeSized writes s with its length, so that different sequences of texts never hash the
// same bytes.
func writeSized(sum hash.Hash, s string) {
	sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
	sum.Write([]byte(s))
}

// Message returns the header of the stored message, without [HeaderMsgID]; Body is the
// payload. Texts over [MaxKeptText] are cut.
func (k *KeptDelivery) Message() Header {
	h := make(Header, 12+len(k.Proof)+len(k.Header)+len(k.Query))
	h.Set(headerKeptSource, k.Source)
	h.Set(headerKeptCause, k.Cause)
	h.Set(headerKeptDetail, cutText(k.Detail))
	h.Set(headerReceivedAt, formatTime(k.ReceivedAt))
	h.Set(headerKeptRemote, cutText(k.RemoteAddr))
	h.Set(headerKeptRequest, cutText(k.RequestID))
	h.Set(headerDataContentType, cutText(k.ContentType))
	h.Set(HeaderTraceParent, k.TraceParent)
	h.Set(headerKeptBytes, strconv.FormatInt(k.BodyBytes, 10))
	if k.HeadersCut > 0 {
		h.Set(headerKeptCut, strconv.Itoa(k.HeadersCut))
	}
	if k.Truncated || cutText(k.ContentType) != k.ContentType {
		h.Set(headerKeptTruncated, "true")
	}
	for name, value := range k.Query {
		h.Set(headerQueryPrefix+name, value)
	}
	h.setAll(headerProof, k.Proof)
	h.setAll(headerKeptHeader, k.Header)
	return h
}

// setAll sets every value of from under prefix and its lower-case name. Values of one name
// stay separate: their number is part of the proof.
func (h Header) setAll(prefix string, from Header) {
	for name, values := range from {
		encoded := make([]string, len(values))
		for i, v := range values {
			encoded[i] = encodePercent(v)
		}
		h[prefix+strings.ToLower(name)] = encoded
	}
}

// cutText cuts s to at most MaxKeptText encoded bytes.
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

// DecodeKept decodes a stored delivery, which keeps body without a copy. An error names the
// header that is missing or cannot be read.
func DecodeKept(h Header, body []byte) (*KeptDelivery, error) {
	d := headerReader{header: h, sentinel: errNotKept}
	k := &KeptDelivery{
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
	// Sorted, so that the same headers are cut each time.
	for _, key := range slices.Sorted(maps.Keys(h)) {
		if name, ok := strings.CutPrefix(key, headerQueryPrefix); ok {
			k.AddQuery(name, d.value(key))
		}
		if name, ok := strings.CutPrefix(key, headerProof); ok {
			k.AddProof(d.name(key, name), d.values(key))
		}
		if name, ok := strings.CutPrefix(key, headerKeptHeader); ok {
			k.AddHeader(d.name(key, name), d.values(key))
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	return k, nil
}

// name returns the HTTP header name that ends key in lower case.
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
