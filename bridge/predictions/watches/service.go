package watches

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/requests"
)

const (
	requestsAtOnce = 64
	maxWaiting     = 8192
	maxRequest     = 64 << 10
	maxDescription = 512
)

// Config of a [Service].
type Config struct {
	Names bridge.Names
	// Logger nil logs nothing.
	Logger *zap.Logger
}

// Service lets programs announce predictions by a NATS request to
// [bridge.Names.WatchRequests]: a [bridge.WatchRequest] that names the prediction. The
// answer is an [Answer]. Any number of processes may run one.
type Service struct {
	conn      func() *nats.Conn
	announcer *Announcer
	cfg       Config
}

// NewService returns a service that is not running yet. Conn returns the connection of
// now.
func NewService(conn func() *nats.Conn, a *Announcer, cfg Config) *Service {
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop()).Named("watches")
	return &Service{conn: conn, announcer: a, cfg: cfg}
}

// Answer is what a request is answered with, as JSON.
type Answer struct {
	Result bridge.Result `json:"result,omitempty"`
	// ID is that of the event.
	ID    string `json:"id,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// Error is why a prediction is not watched. Code is as HTTP has it: from 500 on trying
// again helps.
type Error struct {
	Code        int    `json:"code"`
	Description string `json:"description"`
}

// Run answers requests until ctx ends, and returns nil.
func (s *Service) Run(ctx context.Context) error {
	return requests.Service{
		Subject: s.cfg.Names.WatchRequests("*"), Group: "hookspan-watches", What: "predictions to watch",
		AtOnce: requestsAtOnce, MaxWaiting: maxWaiting, Logger: s.cfg.Logger,
		Answer: func(ctx context.Context, request *nats.Msg) any { return s.answer(ctx, request) },
	}.Run(ctx, s.conn)
}

func (s *Service) answer(ctx context.Context, request *nats.Msg) Answer {
	receipt, id, err := s.announce(ctx, request)
	if err == nil {
		return Answer{Result: receipt.Result, ID: id}
	}
	_, refused := errors.AsType[*refusal](err)
	switch {
	case refused:
		return failed(http.StatusBadRequest, err.Error())
	case errors.Is(err, bridge.ErrNoSource):
		return failed(http.StatusNotFound, "there is no such source: the last part of the subject names one of the configuration")
	case errors.Is(err, bridge.ErrTooLarge):
		return failed(http.StatusRequestEntityTooLarge, "it is too large for the store")
	}
	s.cfg.Logger.Error("a prediction cannot be announced", zap.String("subject", request.Subject), zap.Error(err))
	return failed(http.StatusServiceUnavailable, "it cannot be stored now: try again")
}

func failed(code int, description string) Answer {
	return Answer{Error: &Error{Code: code, Description: bridge.Truncate(description, maxDescription)}}
}

func (s *Service) announce(ctx context.Context, request *nats.Msg) (bridge.Receipt, string, error) {
	if len(request.Data) > maxRequest {
		return bridge.Receipt{}, "", &refusal{fmt.Errorf("the body has %d bytes, at most %d are possible", len(request.Data), maxRequest)}
	}
	r, err := bridge.ParseWatchRequest(request.Data)
	if err != nil {
		return bridge.Receipt{}, "", &refusal{err}
	}
	source := strings.TrimPrefix(request.Subject, strings.TrimSuffix(s.cfg.Names.WatchRequests("*"), "*"))
	return s.announcer.Announce(ctx, r.Watch(source))
}
