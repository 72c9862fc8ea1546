package watches

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/quota"
	"github.com/hookspan/hookspan/bridge/internal/stream/requests"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	requestsAtOnce = 64
	maxWaiting     = 8192
	maxRequest     = 64 << 10
	maxDescription = 512
)

// rateOfAll and rateOfOne bound the announcements of other programs, of all together and of
// each: one for each webhook of a busy source.
var (
	rateOfAll = quota.Rate{PerSecond: 200, Burst: 2000}
	rateOfOne = quota.Rate{PerSecond: 100, Burst: 1000}
)

// messageOverhead is about the size that an event's header adds to an announcement, in
// bytes.
const messageOverhead = 600

// Config of a [Service].
type Config struct {
	Names bridge.Names
	// Alarms is told when programs announce more than they may.
	Alarms bridge.Alarmer
	// Logger may be nil.
	Logger *zap.Logger
}

// Service lets programs announce predictions by a NATS request to
// [bridge.Names.WatchRequests]: a [bridge.WatchRequest] that names the prediction. The
// answer is an [Answer]. Any number of processes may run one.
type Service struct {
	js        jetstream.JetStream
	announcer *Announcer
	quota     *quota.Quota
	cfg       Config
}

// NewService returns a service that does not run yet.
func NewService(js jetstream.JetStream, a *Announcer, cfg Config) *Service {
	cfg.Logger = requests.Sampled(cmp.Or(cfg.Logger, zap.NewNop()).Named("watches"))
	return &Service{js: js, announcer: a, cfg: cfg, quota: quota.New(js, quota.Config{
		Names: cfg.Names, What: "announcements of predictions", All: rateOfAll, Each: rateOfOne, Alarms: cfg.Alarms,
	})}
}

// Answer is the JSON answer to a request.
type Answer struct {
	Result bridge.Result `json:"result,omitempty"`
	// ID is the event's.
	ID    string `json:"id,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// Error says why a prediction is not watched. Code is an HTTP status: with 429 and from 500
// on trying again later helps.
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
	}.Run(ctx, s.js.Conn)
}

func (s *Service) answer(ctx context.Context, request *nats.Msg) any {
	receipt, id, err := s.announce(ctx, request)
	if err == nil {
		return Answer{Result: receipt.Result, ID: id}
	}
	_, refused := errors.AsType[*refusal](err)
	switch {
	case refused:
		return failed(http.StatusBadRequest, err.Error())
	case errors.Is(err, adminapi.ErrNoSource):
		return failed(http.StatusNotFound, "there is no such source: the last part of the subject names one of the configuration")
	case errors.Is(err, quota.ErrOver):
		return requests.Slow{Answer: failed(http.StatusTooManyRequests, err.Error()+": try again later")}
	case errors.Is(err, bridge.ErrTooLarge):
		return failed(http.StatusRequestEntityTooLarge, "it is too large for the store")
	}
	s.cfg.Logger.Error("a prediction cannot be announced", zap.String("subject", request.Subject), zap.Error(err))
	return failed(http.StatusServiceUnavailable, "it cannot be stored now: try again")
}

func failed(code int, description string) Answer {
	return Answer{Error: &Error{Code: code, Description: printable.Truncate(description, maxDescription)}}
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
	return s.announcer.announce(ctx, r.Watch(source), bridge.OriginClaim, func() error {
		return s.quota.Take(ctx, requests.Program(request), len(request.Data)+messageOverhead)
	})
}
