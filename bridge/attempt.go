package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/hookspan/hookspan/internal/printable"
)

// Limits of one block of attempts: bytes of its JSON, and attempts.
const (
	MaxAttemptsBytes = 256 << 10
	MaxAttempts      = 1000
)

const (
	// maxAttemptError bounds the error of one attempt, maxAttemptEvent the event's id, in bytes.
	maxAttemptError = 1 << 10
	maxAttemptEvent = 1 << 10
	maxAttemptTook  = 1e9 // seconds
)

// Attempt tells of one attempt of a consumer, after it has ended. Attempts are published in
// blocks on [Names.AttemptsTold]. Nothing stores them, so some may be missing, and what the
// events, dead letters and durables say counts more. The event's bytes are not repeated.
type Attempt struct {
	// Event is the id of the event, Source its sender and Prediction what it is about.
	Event      string `json:"event"`
	Source     string `json:"source"`
	Prediction string `json:"prediction"`
	// Sequence is that of the event in [Names.EventsStream], also when the consumer read a copy
	// of the event; 0 is unknown.
	Sequence uint64 `json:"seq,omitempty"`
	// At is when the attempt ended, Took how long it took, in seconds; 0 is unknown.
	At   time.Time `json:"at"`
	Took float64   `json:"took"`
	// Try counts the attempts on the event, from 1 on. An attempt that was snoozed or given back
	// has the number of the next one. 0 is unknown, or that no handler was called.
	Try int `json:"try,omitempty"`
	// Verdict is one of the Verdict… constants, or a word of a later version.
	Verdict string `json:"verdict"`
	// Error is the first KiB of the error, without controls; empty after [VerdictDone], or unknown.
	Error string `json:"error,omitempty"`
	// Next is when the event is tried again, zero when it is not, or when that is unknown.
	Next time.Time `json:"next,omitzero"`
}

// Verdicts of attempts. All but VerdictSkipped are the verdicts of the metric
// hookspan_consumer_attempts_total.
const (
	VerdictDone     = "done"       // the event is handled
	VerdictRetry    = "retry"      // the attempt failed, and the event comes again
	VerdictDead     = "dead"       // the event became a dead letter
	VerdictSnoozed  = "snoozed"    // the handler did not try, and the event comes again
	VerdictGiveBack = "given_back" // the process stops, and the event goes to another one
	VerdictLeft     = "left"       // the lease was lost: another process may have the event
	// VerdictSkipped: the consumer's filter says more than subjects can, and does not match.
	// No handler was called.
	VerdictSkipped = "skipped"
)

// EncodeAttempts returns the JSON of a block. It cuts errors to their limit and replaces what
// is not printable in them. The error says what is beyond a limit; then fewer attempts, or all
// but one, may fit.
func EncodeAttempts(attempts []Attempt) ([]byte, error) {
	out := make([]Attempt, len(attempts))
	for i, a := range attempts {
		if err := a.check(); err != nil {
			return nil, fmt.Errorf("encoding attempt %d: %w", i, err)
		}
		out[i] = a
	}
	block, err := json.Marshal(out)
	switch {
	case err != nil:
		return nil, fmt.Errorf("encoding attempts: %w", err)
	case len(out) > MaxAttempts || len(block) > MaxAttemptsBytes:
		return nil, fmt.Errorf("encoding %d attempts: %w", len(out), errAttemptsLimit)
	}
	return block, nil
}

var errAttemptsLimit = fmt.Errorf("a block has at most %d attempts and %d bytes", MaxAttempts, MaxAttemptsBytes)

// DecodeAttempts reads a block, which anybody may have written: a block with anything beyond a
// limit is an error as a whole. Unknown fields are ignored.
func DecodeAttempts(block []byte) ([]Attempt, error) {
	attempts, err := decodeAttempts(block)
	if err != nil {
		return nil, fmt.Errorf("reading attempts: %w", err)
	}
	return attempts, nil
}

func decodeAttempts(block []byte) (attempts []Attempt, err error) {
	if len(block) > MaxAttemptsBytes {
		return nil, errAttemptsLimit
	}
	dec := json.NewDecoder(bytes.NewReader(block))
	if begin, err := dec.Token(); err != nil || begin != json.Delim('[') {
		return nil, errors.Join(errors.New("the block is not a JSON array"), err)
	}
	for dec.More() {
		var a Attempt
		if err = dec.Decode(&a); err == nil {
			err = a.check()
		}
		if err != nil {
			return nil, fmt.Errorf("attempt %d: %w", len(attempts), err)
		}
		if attempts = append(attempts, a); len(attempts) > MaxAttempts {
			return nil, errAttemptsLimit
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the array")
	}
	return attempts, nil
}

var verdictRE = regexp.MustCompile(`^[a-z_]{1,32}$`)

// check makes the error printable and bounds it, and returns an error unless every other value
// is one that an attempt can have.
func (a *Attempt) check() error {
	a.Error = printable.Truncate(printable.String(printable.Truncate(a.Error, maxAttemptError)), maxAttemptError)
	switch {
	case a.Event == "" || len(a.Event) > maxAttemptEvent || !utf8.ValidString(a.Event):
		return fmt.Errorf("the event id must be UTF-8 of 1 to %d bytes", maxAttemptEvent)
	case len(a.Prediction) > MaxPredictionID || !utf8.ValidString(a.Prediction):
		return fmt.Errorf("the prediction id must be UTF-8 of at most %d bytes", MaxPredictionID)
	case a.Sequence > math.MaxInt64 || a.Try < 0:
		return errors.New("seq or try is no possible number")
	case !(a.Took >= 0 && a.Took <= maxAttemptTook): // NaN too
		return fmt.Errorf("took is not 0 to %g seconds", maxAttemptTook)
	case !hasNanoseconds(a.At) || !a.Next.IsZero() && !hasNanoseconds(a.Next):
		return errors.New("at or next is no possible time")
	case !verdictRE.MatchString(a.Verdict):
		return errors.New("the verdict is not one short word")
	}
	return CheckName("source", a.Source)
}

// hasNanoseconds reports whether Unix nanoseconds can hold t.
func hasNanoseconds(t time.Time) bool { return t.Unix() > 0 && t.Year() < 2262 }
