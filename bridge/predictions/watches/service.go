package watches

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// serviceGroup is the queue group by which processes share requests.
	serviceGroup = "hookspan-watches"
	// Requests that are worked on at once, and those that may wait for that; what is
	// beyond is not answered, and its client tries again.
	requestsAtOnce    = 64
	maxWaiting        = 8192
	maxWaitingBytes   = 32 << 20
	maxRequest        = 64 << 10
	requestTimeout    = 4 * time.Second // clients wait for 5 s
	maxReplyInLog     = 128
	maxDescription    = 512
	inbox, importedTo = "_INBOX", "_R_."
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
	nc        *nats.Conn
	announcer *Announcer
	cfg       Config
}

// NewService returns a service that is not running yet.
func NewService(nc *nats.Conn, a *Announcer, cfg Config) *Service {
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop()).Named("watches")
	return &Service{nc: nc, announcer: a, cfg: cfg}
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

// Run answers requests until ctx ends, and returns nil. It returns an error when the
// connection was closed for good.
func (s *Service) Run(ctx context.Context) error {
	requests, err := s.nc.QueueSubscribeSync(s.cfg.Names.WatchRequests("*"), serviceGroup)
	if err != nil {
		return fmt.Errorf("listening for predictions to watch: %w", err)
	}
	var working sync.WaitGroup
	defer working.Wait()
	defer func() { _ = requests.Unsubscribe() }()
	if err := requests.SetPendingLimits(maxWaiting, maxWaitingBytes); err != nil {
		return fmt.Errorf("listening for predictions to watch: %w", err)
	}
	slots := make(chan struct{}, requestsAtOnce)
	for {
		slots <- struct{}{} // first, so that what is beyond stays where it is bounded
		request, err := requests.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrSlowConsumer):
			s.cfg.Logger.Warn("too many predictions are announced at once, some requests are not answered")
			<-slots
			continue
		case err != nil:
			return fmt.Errorf("listening for predictions to watch: %w", err)
		}
		// What has begun is finished when the program is told to stop.
		working.Go(func() {
			defer func() { <-slots }()
			s.serve(context.WithoutCancel(ctx), request)
		})
	}
}

func (s *Service) serve(ctx context.Context, request *nats.Msg) {
	// Nobody has checked the reply subject: an answer to one that is no inbox would
	// be published with our rights.
	if r := request.Reply; r != "" && !strings.HasPrefix(r, inbox) && !strings.HasPrefix(r, importedTo) {
		s.cfg.Logger.Warn("a request asks for an answer to what is no inbox, it is ignored",
			zap.String("subject", request.Subject), zap.String("reply", bridge.Truncate(r, maxReplyInLog)))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	text, err := json.Marshal(s.answer(ctx, request))
	if err == nil && request.Reply != "" {
		err = request.Respond(text)
	}
	if err != nil {
		s.cfg.Logger.Warn("a request to watch a prediction is not answered", zap.String("subject", request.Subject), zap.Error(err))
	}
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
