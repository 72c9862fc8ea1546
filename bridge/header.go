package bridge

import "strings"

// Header is the header of a message. Keys are case-sensitive and lower case, as NATS keeps
// them. It converts to and from nats.Header without a copy.
type Header map[string][]string

// Get returns the first value of key without decoding it, or "".
func (h Header) Get(key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Names of headers.
const (
	HeaderMsgID       = "Nats-Msg-Id"
	HeaderTraceParent = "traceparent"

	headerSpecVersion     = "ce-specversion"
	headerID              = "ce-id"
	headerSource          = "ce-source"
	headerType            = "ce-type"
	headerSubject         = "ce-subject"
	headerTime            = "ce-time"
	headerDataContentType = "ce-datacontenttype"
	headerModel           = "ce-model"
	headerStatus          = "ce-status"
	headerRawStatus       = "ce-rawstatus"
	headerOrigin          = "ce-origin"
	headerReceivedAt      = "ce-receivedat"
	headerSignature       = "ce-signature"
	headerQueryPrefix     = "hookspan-query-"
	headerSentContentType = "hookspan-content-type"
	// HeaderFields has the [Fields] of an event whose body is not written as Get3W writes it.
	HeaderFields = "hookspan-fields"
	// headerProof and the name of a request header: a header that proves a delivery.
	headerProof = "hookspan-proof-"

	// Headers of a kept delivery. A name of a request header follows the last two.
	headerKeptSource    = "hookspan-source"
	headerKeptCause     = "hookspan-cause"
	headerKeptDetail    = "hookspan-detail"
	headerKeptRemote    = "hookspan-remote"
	headerKeptRequest   = "hookspan-request-id"
	headerKeptBytes     = "hookspan-body-bytes"
	headerKeptCut       = "hookspan-headers-cut"
	headerKeptTruncated = "hookspan-truncated"
	headerKeptHeader    = "hookspan-header-"

	// Headers of a dead letter.
	HeaderDeadPrefix   = "hookspan-dead-"
	headerDeadConsumer = "hookspan-dead-consumer"
	headerDeadCause    = "hookspan-dead-cause"
	headerDeadFault    = "hookspan-dead-fault"
	headerDeadError    = "hookspan-dead-error"
	headerDeadAttempts = "hookspan-dead-attempts"
	headerDeadSeq      = "hookspan-dead-seq"
	headerDeadSubject  = "hookspan-dead-subject"
	headerDeadHistory  = "hookspan-dead-history"
	headerDeadRedrives = "hookspan-dead-redrives"

	// Headers of a copy that comes again for one consumer.
	headerAttempt      = "hookspan-attempt"
	headerFirstAttempt = "hookspan-first-attempt"
	headerSeq          = "hookspan-seq"
	headerCopied       = "hookspan-copied"
	headerRedrives     = "hookspan-redrives"
)

// Set stores the percent-encoded value under key. An empty value sets nothing.
func (h Header) Set(key, value string) {
	if value != "" {
		h[key] = []string{encodePercent(value)}
	}
}

// Value returns the decoded first value of key, or "".
func (h Header) Value(key string) (string, error) { return decodePercent(h.Get(key)) }

// Republish returns the headers that may travel with a republished message: the attributes
// of the event, Hookspan's own headers and the trace. NATS would obey batch, schedule,
// deduplication and expectation headers a second time.
func (h Header) Republish() Header {
	out := make(Header, len(h))
	for key, values := range h {
		if strings.HasPrefix(key, "ce-") || strings.HasPrefix(key, "hookspan-") || key == HeaderTraceParent {
			out[key] = values
		}
	}
	return out
}

// Original is [Header.Republish] without the headers of a redelivered copy or a dead
// letter.
func (h Header) Original() Header {
	out := h.Republish()
	for key := range out {
		if strings.HasPrefix(key, HeaderDeadPrefix) {
			delete(out, key)
		}
	}
	for _, key := range []string{headerAttempt, headerFirstAttempt, headerSeq, headerCopied, headerRedrives} {
		delete(out, key)
	}
	return out
}

// MsgID returns the value of [HeaderMsgID] for the parts.
func MsgID(parts ...string) string { return encodePercent(strings.Join(parts, ":")) }
