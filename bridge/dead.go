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
	// DeadPermanent: the handler said that no retry can help.
	DeadPermanent DeadCause = "permanent"
	// DeadRefused: the handler's target refused the event.
	DeadRefused DeadCause = "refused"
	// DeadExhausted: attempts failed for as long as retries are allowed.
	DeadExhausted DeadCause = "exhausted"
	// DeadUndecodable: the message is not an event of Hookspan.
	DeadUndecodable DeadCause = "undecodable"
	// DeadConflict: a consumer that acts once has acted, or is acting, on another event
	// about the same status of the same prediction.
	DeadConflict DeadCause = "conflict"
	// DeadPoison: each process that was given the event ended before it could say what
	// became of the attempt.
	DeadPoison DeadCause = "poison"
	// DeadTerminated: a program that is not built on package consumers ended its
	// delivery with a terminal acknowledgement.
	DeadTerminated DeadCause = "terminated"
	// DeadNotFound: the provider does not know the prediction. Only [PredictionsConsumer]
	// has this cause.
	DeadNotFound DeadCause = "not_found"
	// DeadUnfinished: polling gave up before the prediction ended. Only
	// [PredictionsConsumer] has this cause.
	DeadUnfinished DeadCause = "unfinished"
	// DeadExpired: a range of events left the stream unhandled. The dead letter holds no
	// event.
	DeadExpired DeadCause = "expired"
)

// Fault is who is at fault for a dead letter.
type Fault string

// Faults.
const (
	FaultRefused Fault = "refused" // the target refused the event
	FaultFailed  Fault = "failed"  // the attempts failed
	FaultPoison  Fault = "poison"  // the event kills the process that handles it
)

// Fault is the fault that the cause stands for.
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
	// maxDeadHistory bounds the encoded history, in bytes; all headers of a message
	// together may have 64 KiB.
	maxDeadHistory = 32 << 10
	// maxDeadError bounds the error text, in bytes.
	maxDeadError = 1 << 10
)

// FailedAttempt is one entry of a dead letter's history.
type FailedAttempt struct {
	At time.Time `json:"at"`
	// Took is in milliseconds.
	Took  int64  `json:"took_ms"`
	Error string `json:"error"`
	Note  string `json:"note,omitempty"`
}

// DeadLetter is an event that one consumer gave up on. It travels as the event's message
// with additional headers.
type DeadLetter struct {
	Consumer string
	Cause    DeadCause
	Fault    Fault
	Error    string
	// Attempts counts the failed attempts. History has the first and the last of them.
	Attempts int
	History  []FailedAttempt
	// Subject and Sequence are where the consumer read the event, in the stream of events.
	Subject  string
	Sequence uint64
	// Redrives counts how often the event was taken out of this consumer's dead letters.
	Redrives int
}

// ID is the message id of the dead letter. It is made of the consumer, the event and the
// redrives, never of a stream sequence: a rebuilt stream may give the event another one.
func (d *DeadLetter) ID(event string) string {
	return MsgID("dead", d.Consumer, event, strconv.Itoa(d.Redrives))
}

// UndecodableID stands in for the event id in a dead letter's id when the message is no
// event.
func UndecodableID(subject string, data []byte) string {
	h := sha256.New()
	h.Write([]byte(subject + "\x00"))
	h.Write(data)
	return "undecodable:" + hex.EncodeToString(h.Sum(nil)[:16])
}

// Header returns the header of the dead letter, without a message id: the event's own
// header and the fields of d.
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

// deadHistory returns the attempts as JSON. To fit maxDeadHistory it drops the oldest
// attempts but the first, then shortens the last one's note.
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

// DecodeDeadLetter reads the header of a dead letter. An error names the header that is
// missing or cannot be read.
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
