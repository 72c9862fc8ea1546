package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/internal/printable"
)

// DeadCause is why a consumer gave up on an event.
type DeadCause string

// Causes of dead letters.
const (
	// DeadPermanent: the handler said that nothing can help.
	DeadPermanent DeadCause = "permanent"
	// DeadRefused: the target of the handler does not want it.
	DeadRefused DeadCause = "refused"
	// DeadExhausted: attempts failed for as long as was allowed.
	DeadExhausted DeadCause = "exhausted"
	// DeadUndecodable: the message is not an event of Hookspan.
	DeadUndecodable DeadCause = "undecodable"
	// DeadConflict: another event about the same status of the same prediction
	// was acted on, or is being acted on, and this consumer acts once.
	DeadConflict DeadCause = "conflict"
	// DeadPoison: it was delivered again and again and nobody lived to say what
	// came of it.
	DeadPoison DeadCause = "poison"
	// DeadTerminated: a program that is not built on package consumers ended its
	// delivery with a terminal acknowledgement.
	DeadTerminated DeadCause = "terminated"
	// DeadNotFound: the provider does not know the prediction, letters of
	// [PredictionsConsumer] only.
	DeadNotFound DeadCause = "not_found"
	// DeadUnfinished: the prediction had no end for as long as it is asked for,
	// letters of [PredictionsConsumer] only.
	DeadUnfinished DeadCause = "unfinished"
	// DeadExpired: a range of events left the stream unhandled. Its letter holds
	// no event.
	DeadExpired DeadCause = "expired"
)

// Fault is whose fault a dead letter is.
type Fault string

// Faults.
const (
	FaultRefused Fault = "refused" // the target does not want it
	FaultFailed  Fault = "failed"  // the attempts did
	FaultPoison  Fault = "poison"  // it kills the process that handles it
)

// Fault is whose fault it is when there is that cause.
func (c DeadCause) Fault() Fault {
	switch c {
	case DeadRefused, DeadTerminated:
		return FaultRefused
	case DeadPoison:
		return FaultPoison
	case DeadPermanent, DeadExhausted, DeadUndecodable, DeadConflict, DeadExpired, DeadNotFound, DeadUnfinished:
	}
	return FaultFailed
}

const (
	// maxDeadHistory bounds a dead letter's history as it travels, in bytes; the
	// whole header of a message can have 64 KiB.
	maxDeadHistory = 32 << 10
	// maxDeadError bounds what is kept of an error, in bytes.
	maxDeadError = 1 << 10
)

// FailedAttempt is one attempt that failed.
type FailedAttempt struct {
	At time.Time `json:"at"`
	// Took is in milliseconds.
	Took  int64  `json:"took_ms"`
	Error string `json:"error"`
	Note  string `json:"note,omitempty"`
}

// DeadLetter is an event that one consumer gave up on. It travels as the event's
// own message with headers that say why.
type DeadLetter struct {
	Consumer string
	Cause    DeadCause
	// Fault is whose fault it is.
	Fault Fault
	Error string
	// Attempts is how many failed, History says more of the first one and of the
	// last ones.
	Attempts int
	History  []FailedAttempt
	// Subject and Sequence say where the event was read from, in the stream of
	// events.
	Subject  string
	Sequence uint64
	// Redrives is how often the event was taken out of the dead letters of this
	// consumer before.
	Redrives int
}

// ID is the message id of the letter: it is made of the consumer, the event and how
// often it was redriven, never of a place in a stream, where the event can lie again.
func (d *DeadLetter) ID(event string) string {
	return MsgID("dead", d.Consumer, event, strconv.Itoa(d.Redrives))
}

// UndecodableID stands for the id of an event in the id of a letter, when the message
// is none.
func UndecodableID(subject string, data []byte) string {
	h := sha256.New()
	h.Write([]byte(subject + "\x00"))
	h.Write(data)
	return "undecodable:" + hex.EncodeToString(h.Sum(nil)[:16])
}

// Header is the header of the letter: what may travel on of that of the event, and
// why it died. It has no message id.
func (d *DeadLetter) Header(event Header) Header {
	h := event.Original()
	h.Set(headerDeadConsumer, d.Consumer)
	h.Set(headerDeadCause, string(d.Cause))
	h.Set(headerDeadFault, string(d.Fault))
	h.Set(headerDeadError, printable.Truncate(d.Error, maxDeadError))
	h.Set(headerDeadAttempts, strconv.Itoa(d.Attempts))
	h.Set(headerDeadSubject, d.Subject)
	setNumber(h, headerDeadSeq, d.Sequence)
	setNumber(h, headerDeadRedrives, uint64(max(d.Redrives, 0)))
	h.Set(headerDeadHistory, deadHistory(d.History))
	return h
}

// deadHistory is the attempts as JSON; the oldest but the first are left out until
// it fits, and what the last one noted is cut.
func deadHistory(attempts []FailedAttempt) string {
	attempts = append([]FailedAttempt(nil), attempts...)
	for len(attempts) > 0 {
		text, err := json.Marshal(attempts)
		if err != nil {
			return ""
		}
		if EncodedLen(string(text)) <= maxDeadHistory {
			return string(text)
		}
		last := &attempts[len(attempts)-1]
		switch {
		case len(attempts) > 2:
			attempts = append(attempts[:1], attempts[2:]...)
		case last.Note != "":
			last.Note = printable.Truncate(last.Note, len(last.Note)/2)
		case len(attempts) == 2:
			attempts = attempts[1:]
		default:
			return ""
		}
	}
	return ""
}

// DecodeDeadLetter reads why an event died out of the header of its letter. The
// error names the header that is missing or cannot be read.
func DecodeDeadLetter(h Header) (*DeadLetter, error) {
	r := headerReader{header: h, sentinel: errNotDead}
	d := &DeadLetter{
		Consumer: r.value(headerDeadConsumer),
		Cause:    DeadCause(r.required(headerDeadCause)),
		Fault:    Fault(r.value(headerDeadFault)),
		Error:    r.value(headerDeadError),
		Attempts: int(r.number(headerDeadAttempts)),
		Subject:  r.value(headerDeadSubject),
		Sequence: uint64(r.number(headerDeadSeq)),
		Redrives: int(r.number(headerDeadRedrives)),
	}
	if text := r.value(headerDeadHistory); text != "" {
		if err := json.Unmarshal([]byte(text), &d.History); err != nil {
			r.fail(headerDeadHistory, err)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return d, nil
}

var errNotDead = errors.New("not a dead letter of Hookspan")
