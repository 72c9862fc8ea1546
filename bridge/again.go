package bridge

import (
	"errors"
	"strconv"
	"time"
)

// Again says of a copy of an event why it comes again for one consumer.
type Again struct {
	// Attempt is the number of the attempt that the copy is for, from 2 on; 0 when
	// nobody says.
	Attempt int
	// First is when the first attempt began.
	First time.Time
	// Sequence is that of the event itself in the stream of events.
	Sequence uint64
	// Copied is the stream sequence of the message that the copy was made of, which is
	// the event itself or an earlier copy; 0 when nobody says.
	Copied uint64
	// Redrives is how often it was taken out of the dead letters of the consumer.
	Redrives int
}

// Header is the header of the copy: what may travel on of that of the event, and
// what a says. It has no message id.
func (a Again) Header(event Header) Header {
	h := event.Original()
	setNumber(h, headerAttempt, uint64(max(a.Attempt, 0)))
	setNumber(h, headerSeq, a.Sequence)
	setNumber(h, headerCopied, a.Copied)
	setNumber(h, headerRedrives, uint64(max(a.Redrives, 0)))
	h.Set(headerFirstAttempt, formatTime(a.First))
	return h
}

// DecodeAgain reads what the header of a copy says. The zero value is that of a
// message that is no copy. An error names the header that cannot be read.
func DecodeAgain(h Header) (Again, error) {
	r := headerReader{header: h, sentinel: errNotAgain}
	a := Again{
		Attempt: int(r.number(headerAttempt)), First: r.time(headerFirstAttempt),
		Sequence: uint64(r.number(headerSeq)), Copied: uint64(r.number(headerCopied)), Redrives: int(r.number(headerRedrives)),
	}
	return a, r.err
}

var errNotAgain = errors.New("not a copy of an event")

// AgainID is the message id of a copy. What tells copies of one event for one
// consumer apart is n.
func AgainID(consumer, event, n string) string { return MsgID("again", consumer, event, n) }

func setNumber(h Header, key string, n uint64) {
	if n > 0 {
		h.Set(key, strconv.FormatUint(n, 10))
	}
}
