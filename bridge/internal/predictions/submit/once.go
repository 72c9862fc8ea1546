package submit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// inFlight bounds how long a submission that another process has begun can be in
	// progress.
	inFlight = 2 * time.Minute
	// followFor is how long a client waits for a submission in progress.
	followFor = 45 * time.Second
)

// once sends the order unless it was sent before under its key.
func (s *Submitter) once(ctx context.Context, o *order, relay Relay) (*bridge.Submitted, error) {
	key := recordKey(o.watch.Source, o.key)
	f, own := s.flights.join(key, o.digest)
	if !own {
		return follow(ctx, f, o)
	}
	defer s.flights.leave(key)
	done, err := s.first(context.WithoutCancel(ctx), o, key, relay, f)
	f.land(done, err)
	return done, err
}

// follow waits for the outcome of the same submission.
func follow(ctx context.Context, f *flight, o *order) (*bridge.Submitted, error) {
	if f.digest != o.digest {
		return nil, errOther()
	}
	ctx, cancel := context.WithTimeout(ctx, followFor)
	defer cancel()
	select {
	case <-f.landed:
		return replayed(f.done), f.err
	case <-ctx.Done():
		return nil, &adminapi.SubmitError{Status: http.StatusConflict, RetryAfter: retrySoon, Detail: "It is still being submitted under this idempotency key: try again."}
	}
}

func replayed(done *bridge.Submitted) *bridge.Submitted {
	if done == nil {
		return nil
	}
	again := *done
	again.Replayed = true
	return &again
}

func errOther() error {
	return refuse(http.StatusUnprocessableEntity, "Something else was submitted under this idempotency key: use a new one.")
}

// first claims the key and sends the order, or returns the outcome of the earlier
// submission.
func (s *Submitter) first(ctx context.Context, o *order, key string, relay Relay, f *flight) (*bridge.Submitted, error) {
	rec, revision, err := s.claim(ctx, o, key)
	if errors.Is(err, errTaken) {
		return s.repeat(ctx, o, key, rec, revision)
	}
	if err != nil {
		return nil, &adminapi.SubmitError{
			Status: http.StatusServiceUnavailable, RetryAfter: retrySoon, Err: err,
			Detail: "The idempotency key could not be written down, so nothing was sent: try again.",
		}
	}
	recorded := false
	done, err := s.send(ctx, o, relay, func(done *bridge.Submitted) {
		recorded = true
		rec.State, rec.Done = stateDone, done
		s.keep(ctx, key, rec, revision)
		f.land(done, nil)
	})
	if recorded {
		return done, err // an error after done is about the rest of a stream
	}
	failed, ok := errors.AsType[*adminapi.SubmitError](err)
	switch {
	case ok && !failed.Unknown:
		if err := s.records.remove(ctx, revision); err != nil {
			s.unsent.add(rec.Claim)
			s.cfg.Logger.Warn("the idempotency key of a submission that was refused stays: no other process can use it until tomorrow",
				zap.String("source", o.watch.Source), zap.Error(err))
		}
	case done != nil:
		rec.State, rec.Done = stateAccepted, done
		s.keep(ctx, key, rec, revision)
	default:
		rec.State = stateUnknown
		s.keep(ctx, key, rec, revision)
	}
	return done, err
}

// claim records that the order is about to be sent. The error wraps errTaken when there is
// a record, which claim then returns.
func (s *Submitter) claim(ctx context.Context, o *order, key string) (record, uint64, error) {
	rec := record{State: stateStarted, Digest: o.digest, At: time.Now().UTC(), Process: s.cfg.Process, Claim: rand.Text()}
	revision, err := s.records.put(ctx, key, rec, 0)
	if err == nil {
		return rec, revision, nil
	}
	// After a lost answer our own record may be there.
	have, revision, getErr := s.records.get(ctx, key)
	switch {
	case getErr == nil && have.Claim == rec.Claim:
		return rec, revision, nil
	case getErr == nil && s.unsent.has(have.Claim):
		return s.reclaim(ctx, key, rec, have, revision)
	case getErr == nil:
		return have, revision, errTaken
	case errors.Is(err, errTaken):
		return rec, 0, fmt.Errorf("a submission was written down, and cannot be read: %w", getErr)
	}
	s.unsent.add(rec.Claim)
	return rec, 0, err
}

// reclaim replaces a claim for which nothing was sent.
func (s *Submitter) reclaim(ctx context.Context, key string, rec, unsent record, revision uint64) (record, uint64, error) {
	revision, err := s.records.put(ctx, key, rec, revision)
	if err != nil {
		s.unsent.add(rec.Claim)
		return rec, 0, fmt.Errorf("the claim that is there could not be replaced: %v", err) //nolint:errorlint // not errTaken: no other process has the key
	}
	s.unsent.remove(unsent.Claim)
	return rec, revision, nil
}

// repeat returns the outcome of an earlier submission.
func (s *Submitter) repeat(ctx context.Context, o *order, key string, rec record, revision uint64) (*bridge.Submitted, error) {
	if rec.Digest != o.digest {
		return nil, errOther()
	}
	age := time.Since(rec.At)
	switch {
	case rec.State == stateDone && rec.Done != nil:
		return replayed(rec.Done), nil
	case rec.State == stateAccepted && rec.Done != nil:
		if err := s.announce(ctx, o, rec.Done); err != nil {
			return rec.Done, err
		}
		rec.State = stateDone
		s.keep(ctx, key, rec, revision)
		return replayed(rec.Done), nil
	case rec.State == stateStarted && age < inFlight:
		return nil, &adminapi.SubmitError{
			Status: http.StatusConflict, RetryAfter: retrySoon,
			Detail: "Another process is submitting it under this idempotency key, or ended while it did: try again.",
		}
	}
	return nil, refuse(http.StatusConflict,
		"It was sent under this idempotency key at %s, and what became of it is not known. It is not sent again, since that could cost twice: look it up at the provider, and announce it if it is there, or use a new key.",
		rec.At.Format(time.RFC3339))
}

// keep records a submission's outcome. If that fails the key stays claimed: its order is
// not sent again, and its outcome stays unknown.
func (s *Submitter) keep(ctx context.Context, key string, rec record, revision uint64) {
	if _, err := s.records.put(ctx, key, rec, revision); err != nil {
		s.cfg.Logger.Warn("what became of a submission could not be written down for its idempotency key", zap.String("state", rec.State), zap.Error(err))
	}
}
