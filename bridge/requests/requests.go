// Package requests answers what programs of other accounts ask over NATS. Their
// requests cross into our account, and nobody has checked what is in them.
package requests

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

const (
	retry           = time.Second     // of listening
	timeout         = 4 * time.Second // clients wait for 5 s
	maxWaitingBytes = 32 << 20
	maxReplyInLog   = 128
	// Subjects of answers: an inbox, and what the server makes of one of another account.
	inbox, imported = "_INBOX", "_R_."
)

// Service answers the requests on a subject. Any number of processes may run the same.
type Service struct {
	Subject string
	// Group is the queue group by which processes share requests.
	Group string
	// What says in errors and in the log what is asked for.
	What string
	// AtOnce is how many requests are worked on at once, MaxWaiting how many more may
	// wait for that. What is beyond is not answered, and its client tries again.
	AtOnce, MaxWaiting int
	// Answer returns what is answered as JSON. Its context ends after 4 s.
	Answer func(ctx context.Context, request *nats.Msg) any
	// Logger nil logs nothing.
	Logger *zap.Logger
}

// Run answers requests until ctx ends, and returns nil once those that have begun are
// answered. Conn returns the connection of now: when one was closed for good, and when
// listening fails, it is asked again.
func (s Service) Run(ctx context.Context, conn func() *nats.Conn) error {
	s.Logger = cmp.Or(s.Logger, zap.NewNop())
	for ctx.Err() == nil {
		if err := s.listen(ctx, conn()); err != nil {
			s.Logger.Warn("requests are not answered now, trying again", zap.Duration("in", retry), zap.Error(err))
			select {
			case <-ctx.Done():
			case <-time.After(retry):
			}
		}
	}
	return nil
}

// listen answers requests until ctx ends, and returns nil then, or until the connection
// is closed.
func (s Service) listen(ctx context.Context, nc *nats.Conn) error {
	requests, err := nc.QueueSubscribeSync(s.Subject, s.Group)
	if err != nil {
		return fmt.Errorf("listening for %s: %w", s.What, err)
	}
	var working sync.WaitGroup
	defer working.Wait()
	defer func() { _ = requests.Unsubscribe() }()
	if err := requests.SetPendingLimits(s.MaxWaiting, maxWaitingBytes); err != nil {
		return fmt.Errorf("listening for %s: %w", s.What, err)
	}
	slots := make(chan struct{}, s.AtOnce)
	for {
		slots <- struct{}{} // first, so that what is beyond stays where it is bounded
		request, err := requests.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrSlowConsumer):
			s.Logger.Warn("too many requests at once, some are not answered", zap.String("for", s.What))
			<-slots
			continue
		case err != nil:
			return fmt.Errorf("listening for %s: %w", s.What, err)
		}
		// What has begun is finished when the program is told to stop.
		working.Go(func() {
			defer func() { <-slots }()
			s.serve(context.WithoutCancel(ctx), request)
		})
	}
}

func (s Service) serve(ctx context.Context, request *nats.Msg) {
	// An answer to what is no inbox would be published with our rights.
	if r := request.Reply; r != "" && !strings.HasPrefix(r, inbox) && !strings.HasPrefix(r, imported) {
		s.Logger.Warn("a request asks for an answer to what is no inbox, it is ignored",
			zap.String("subject", request.Subject), zap.String("reply", bridge.Truncate(r, maxReplyInLog)))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	text, err := json.Marshal(s.Answer(ctx, request))
	if err == nil && request.Reply != "" {
		err = request.Respond(text)
	}
	if err != nil {
		s.Logger.Warn("a request is not answered", zap.String("for", s.What), zap.String("subject", request.Subject), zap.Error(err))
	}
}
