package submit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/printable"
)

// relay passes a stream on until it ends. The first event that names the prediction waits
// until the prediction is recorded. When the client leaves, the stream is still read:
// others may wait for it, and the provider may take a closed connection for a cancellation.
// Of a stream without a client only the prediction's name matters.
func (s *Submitter) relay(ctx context.Context, o *order, stream io.ReadCloser, relay Relay, known func(*bridge.Submitted)) (*bridge.Submitted, error) {
	var done *bridge.Submitted
	var last bridge.Progress
	if !o.stream {
		relay = nil
	}
	named := s.hurry(ctx, o, stream)
	defer named()
	events := newSSEReader(stream)
	for {
		e, err := events.next()
		switch {
		case errors.Is(err, io.EOF) && done != nil:
			return done, nil
		case errors.Is(err, io.EOF):
			return nil, s.doubtful(o, http.StatusBadGateway, errors.New("the provider's stream has ended and named no prediction"))
		case err != nil && done != nil:
			return done, s.broken(o, done, err)
		case err != nil:
			return nil, s.doubtful(o, http.StatusBadGateway, err)
		}
		told := readEvent(e.data)
		if done == nil && told.id != "" {
			if done, err = s.accept(ctx, o, object(e.data)); err != nil {
				return done, err
			}
			known(done)
			if !o.stream {
				return done, nil
			}
			named()
			// From here on a shutdown loses no prediction.
			defer context.AfterFunc(s.stopping, func() { _ = stream.Close() })() //nolint:contextcheck // the end of the process is no request's
		}
		if done != nil {
			s.tell(done, told, &last)
		}
		if relay != nil && relay(provider.Censor(e.raw, o.token)) != nil {
			relay = nil
		}
	}
}

// hurry closes a stream that does not name its prediction in time. The caller calls named
// when it has.
func (s *Submitter) hurry(ctx context.Context, o *order, stream io.Closer) (named func()) {
	waiting, named := context.WithCancel(ctx)
	go func() {
		if o.stream {
			select {
			case <-s.stopping.Done():
			case <-waiting.Done():
			}
		}
		if backoff.Sleep(waiting, s.cfg.nameFor) {
			_ = stream.Close()
		}
	}()
	return named
}

// broken is the error about a stream that broke off. Its prediction goes on.
func (s *Submitter) broken(o *order, done *bridge.Submitted, err error) error {
	why := "The provider's stream was cut off"
	if s.stopping.Err() != nil {
		why = "This process is shutting down"
	}
	s.cfg.Logger.Info("the stream of a prediction was cut off", zap.String("source", o.watch.Source), zap.String("prediction", done.ID), zap.Error(err))
	return &adminapi.SubmitError{
		Status: http.StatusBadGateway, Err: err,
		Detail: fmt.Sprintf("%s; the prediction is recorded and goes on: ask for it with GET /api/v1/predictions/%s/%s.", why, o.watch.Source, url.PathEscape(done.ID)),
	}
}

// tell publishes the prediction's progress; fields that the event lacks keep their last
// value.
func (s *Submitter) tell(done *bridge.Submitted, told said, last *bridge.Progress) {
	if told.status == "" && told.progress == nil {
		return
	}
	last.At = time.Now().UTC()
	if told.status != "" {
		last.Status = printable.Truncate(told.status, bridge.MaxStatus)
	}
	if told.progress != nil {
		last.Progress = *told.progress
	}
	data, err := json.Marshal(last)
	if err == nil {
		err = s.cfg.Tell(s.cfg.Names.Progress(done.Source, done.ID), data)
	}
	if err != nil {
		s.cfg.Logger.Debug("the progress of a prediction was not told", zap.Error(err))
	}
}

// object returns the prediction in an event: the data itself, or the content of its
// envelope.
func object(data []byte) []byte {
	var envelope struct {
		ID   json.RawMessage `json:"id"`
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(data, &envelope) == nil && len(envelope.ID) == 0 && len(envelope.Data) > 0 && envelope.Data[0] == '{' {
		return envelope.Data
	}
	return data
}

func readEvent(data []byte) said { return read(object(data)) }
