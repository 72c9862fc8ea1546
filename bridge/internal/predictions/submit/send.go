package submit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

// retrySoon is the RetryAfter when a limit or an outage stopped a submission.
const retrySoon = 10 * time.Second

// send submits the order once. It calls known when the prediction is recorded, before
// anybody is told. An Unknown error may come with a prediction: then it was accepted and
// not recorded.
func (s *Submitter) send(ctx context.Context, o *order, relay Relay, known func(*bridge.Submitted)) (*bridge.Submitted, error) {
	if o.stream {
		if !s.streams.TryAcquire(1) {
			return nil, &adminapi.SubmitError{Status: http.StatusServiceUnavailable, Detail: "Too many streams are relayed: try again, or submit without stream.", RetryAfter: retrySoon}
		}
		defer s.streams.Release(1)
	}
	if s.cfg.Unable != nil {
		if why := s.cfg.Unable(ctx); why != "" {
			return nil, &adminapi.SubmitError{Status: http.StatusServiceUnavailable, RetryAfter: retrySoon, Detail: "Nothing was sent, since it could not be recorded: " + why + "."}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, longestStream)
	defer cancel()
	res, err := o.api.Submit(ctx, o.watch.Model, o.body)
	if err != nil {
		return nil, s.failed(o, err)
	}
	if res.Stream != nil {
		defer func() { _ = res.Stream.Close() }()
		return s.relay(ctx, o, res.Stream, relay, known)
	}
	if !res.OK() {
		return nil, s.refused(o, res)
	}
	done, err := s.accept(ctx, o, res.Object)
	if done != nil {
		done.Answer = provider.Censor(res.Body, o.token)
	}
	if err == nil {
		known(done)
	}
	return done, err
}

// failed is the error about a submission without an answer.
func (s *Submitter) failed(o *order, err error) error {
	switch {
	case errors.Is(err, provider.ErrNoKey):
		return refuse(http.StatusServiceUnavailable, "The bridge has no key for the provider's API: set sources.%s.api.key.", o.watch.Source)
	case errors.Is(err, provider.ErrNotSent):
		return &adminapi.SubmitError{
			Status: http.StatusServiceUnavailable, RetryAfter: retrySoon, Err: err,
			Detail: "The provider could not be reached, and nothing was sent: try again.",
		}
	case errors.Is(err, context.DeadlineExceeded):
		return s.doubtful(o, http.StatusGatewayTimeout, err)
	}
	return s.doubtful(o, http.StatusBadGateway, err)
}

// doubtful is the error about a submission that the provider may have accepted.
func (s *Submitter) doubtful(o *order, status int, err error) error {
	s.cfg.Logger.Warn("it is not known whether the provider accepted a submission", zap.String("source", o.watch.Source),
		zap.String("model", o.watch.Model), zap.String("reference", o.watch.Reference), zap.Error(err))
	return &adminapi.SubmitError{
		Status: status, Unknown: true, Err: err,
		Detail: printable.Sentences("It is not known whether the provider accepted it: "+printable.Truncate(err.Error(), maxReason),
			fmt.Sprintf("Look it up there: if it is there, announce it with PUT /api/v1/predictions/%s/<id>; only if it is not, submit it again.", o.watch.Source)),
	}
}

// maxReason bounds a quoted error, in bytes.
const maxReason = 512

// refused is the error about an answer that is no success. A refusal keeps the provider's
// status; after a failure of the provider the prediction may exist.
func (s *Submitter) refused(o *order, res *provider.Response) error {
	said := fmt.Sprintf("provider answered %d", res.Status)
	if res.Message != "" {
		said += ": " + string(provider.Censor([]byte(res.Message), o.token))
	}
	id := read(res.Object).id
	if id != "" {
		said = printable.Sentences(said, fmt.Sprintf("It named prediction %q", printable.Truncate(id, bridge.MaxPredictionID)))
	}
	if id != "" || !refuses(res.Status) {
		err := s.doubtful(o, http.StatusBadGateway, errors.New("the "+said))
		if e, ok := errors.AsType[*adminapi.SubmitError](err); ok {
			e.RetryAfter = res.RetryAfter
		}
		return err
	}
	e := &adminapi.SubmitError{Status: res.Status, Detail: printable.Sentences("The "+said, "It was not submitted."), RetryAfter: res.RetryAfter}
	if res.Status == http.StatusUnauthorized || res.Status == http.StatusForbidden {
		e.Detail = printable.Sentences(e.Detail, fmt.Sprintf("This is about the bridge's account there, not about you: check sources.%s.api.key and the balance.", o.watch.Source))
	}
	return e
}

// refuses reports whether a status means that there is no prediction. Gateways that give up
// on a working provider answer 408 or a number that RFC 9110 does not know, such as 499.
func refuses(status int) bool {
	return status >= 400 && status <= 499 && status != http.StatusRequestTimeout && http.StatusText(status) != ""
}

// unrecorded is the error about an accepted prediction that could not be recorded.
func (s *Submitter) unrecorded(w *bridge.Watch, err error) error {
	id := printable.Truncate(w.Prediction, bridge.MaxPredictionID)
	s.cfg.Logger.Error("a prediction was submitted and could not be recorded: announce it, or its end may be missed", zap.String("source", w.Source),
		zap.String("prediction", id), zap.String("model", w.Model), zap.String("reference", w.Reference), zap.Error(err))
	return &adminapi.SubmitError{
		Status: http.StatusBadGateway, Unknown: true, Err: err,
		Detail: fmt.Sprintf("It was submitted as %s, and could not be recorded: watch it with PUT /api/v1/predictions/%s/%s, and do not submit it again.",
			id, w.Source, url.PathEscape(id)),
	}
}
