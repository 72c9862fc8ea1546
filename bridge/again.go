package bridge

import (
	"errors"
	"strconv"
	"time"
)

// Again says why a copy of an event comes again for one consumer.
type Again struct {
	// Attempt is the number of the attempt that the copy is for, from 2 on; 0 is unknown.
	Attempt int
	First   time.Time
	// Sequence is the stream sequence of the event itself.
	Sequence uint64
	// Copied is the stream sequence of the message that was copied: the event itself or an
	// earlier copy. 0 is unknown.
	Copied uint64
	// Redrives counts how often the event was taken out of the consumer's dead letters.
	Redrives int
}

// Header returns the header of the copy, without a message id: the event's own header and
// the fields of a.
func (a Again) Header(event Header) Header {
	h := event.Original()
	setNumber(h, headerAttempt, uint64(max(a.Attempt, 0)))
	setNumber(h, headerSeq, a.Sequence)
	setNumber(h, headerCopied, a.Copied)
	setNumber(h, headerRedrives, uint64(max(a.Redrives, 0)))
	h.Set(headerFirstAttempt, formatTime(a.First))
	return h
}

// DecodeAgain reads the header of a copy. A message that is no copy gives the zero value.
// An error names the header that cannot be read.
func DecodeAgain(h Header) (Again, error) {
	r := headerReader{header: h, sentinel: errNotAgain}
	a := Again{
		Attempt: int(r.number(headerAttempt)), First: r.time(headerFirstAttempt),
		Sequence: uint64(r.number(headerSeq)), Copied: uint64(r.number(headerCopied)), Redrives: int(r.number(headerRedrives)),
	}
	return a, r.err
}

var errNotAgain = errors.New("not a copy of an event")

// AgainID is the message id of a copy; n tells copies of one event for one consumer apart.
func AgainID(consumer, event, n string) string { return MsgID("again", consumer, event, n) }

func setNumber(h Header, key string, n uint64) {
	if n > 0 {
		h.Set(key, strconv.FormatUint(n, 10))
	}
}
