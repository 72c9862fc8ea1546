// Package requests answers requests of programs of other accounts over NATS. The requests cross
// into our account unchecked.
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
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	retry           = time.Second     // after failing to listen
	timeout         = 4 * time.Second // clients wait for 5 s
	maxWaitingBytes = 32 << 20
	maxReplyInLog   = 128
	maxProgram      = 256
	maxSlow         = 1024
	// Subjects of answers: an inbox, and the server's form of an inbox of another account.
	inbox, imported = "_INBOX", "_R_."
	// clientInfo is the header in which the server names the client of another account
	// (nats-server 2.15.2, ClientInfoHdr).
	clientInfo = "Nats-Request-Info"
)

// Refusals are answered at once up to a burst of promptBurst and promptRefusals a second,
// others after slowness. Tests change them.
var (
	promptRefusals rate.Limit = 50
	promptBurst               = 100
	slowness                  = time.Second
)

// Service answers the requests on a subject. Any number of processes may run the same one.
type Service struct {
	Subject string
	// Group is the queue group by which processes share requests.
	Group string
	// What names the requests in errors and in the log.
	What string
	// AtOnce is how many requests are answered concurrently, MaxWaiting how many more may wait.
	// Further requests get no answer, and their clients retry.
	AtOnce, MaxWaiting int
	// Answer returns the answer: a [*nats.Msg] is sent as it is, anything else as JSON. A
	// [Slow] answer may be sent a second later. The context ends after 4 s.
	Answer func(ctx context.Context, request *nats.Msg) any
	// Logger nil logs nothing.
	Logger *zap.Logger
}

// Program identifies the program of a request from another account: the connection that the
// server has written into the request, as far as it is shared. It is "" for a request of our
// own account, whose clients could forge it.
func Program(request *nats.Msg) string {
	if !strings.HasPrefix(request.Reply, imported) {
		return ""
	}
	var client struct {
		Account string `json:"acc"`
		ID      uint64 `json:"id"`
		User    string `json:"user"`
		Host    string `json:"host"`
		Name    string `json:"name"`
	}
	if json.Unmarshal([]byte(request.Header.Get(clientInfo)), &client) != nil {
		return ""
	}
	return printable.Truncate(fmt.Sprintf("%s: connection %d of user %s at %s, called %q", client.Account, client.ID, client.User, client.Host, client.Name), maxProgram)
}

// Slow is a refusal. The first hundred are sent at once, and fifty a second; others a second
// late, so that a client which retries in a loop costs little. While 1,024 of those wait,
// further ones are not sent.
type Slow struct{ Answer any }

// Run answers requests until ctx ends, and returns nil once those that have begun are answered,
// except late refusals. conn returns the current connection; Run calls it again when a
// connection was closed for good, and when listening fails.
func (s Service) Run(ctx context.Context, conn func() *nats.Conn) error {
	s.Logger = Sampled(cmp.Or(s.Logger, zap.NewNop()))
	for ctx.Err() == nil {
		if err := s.listen(ctx, conn()); err != nil {
			s.Logger.Warn("requests are not answered now, trying again", zap.Duration("in", retry), zap.Error(err))
			backoff.Sleep(ctx, retry)
		}
	}
	return nil
}

// listen answers requests until ctx ends, and returns nil then, or until the connection is
// closed.
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
	slow := &brake{prompt: rate.NewLimiter(promptRefusals, promptBurst), waiting: make(chan struct{}, maxSlow)}
	for {
		slots <- struct{}{} // first, so that further requests stay in the bounded queue
		request, err := requests.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrSlowConsumer):
			s.Logger.Warn("too many requests at once, some are not answered", zap.String("for", s.What))
			<-slots
			continue
		case errors.Is(err, nats.ErrNoResponders): // nats.go takes a request with the header Status for that
			<-slots
			continue
		case err != nil:
			return fmt.Errorf("listening for %s: %w", s.What, err)
		}
		// A request that has begun is finished at shutdown.
		working.Go(func() {
			defer func() { <-slots }()
			s.serve(context.WithoutCancel(ctx), request, slow)
		})
	}
}

func (s Service) serve(ctx context.Context, request *nats.Msg, slow *brake) {
	// An answer to another subject than an inbox would be published with our permissions.
	if r := request.Reply; r != "" && !strings.HasPrefix(r, inbox) && !strings.HasPrefix(r, imported) {
		s.Logger.Warn("ignored a request whose reply subject is no inbox",
			zap.String("subject", request.Subject), zap.String("reply", printable.Truncate(r, maxReplyInLog)))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer := s.Answer(ctx, request)
	refusal, ok := answer.(Slow)
	switch {
	case !ok:
		s.respond(request, answer)
	case slow.prompt.Allow():
		s.respond(request, refusal.Answer)
	default:
		slow.later(func() { s.respond(request, refusal.Answer) })
	}
}

type brake struct {
	prompt  *rate.Limiter
	waiting chan struct{}
}

func (b *brake) later(do func()) {
	select {
	case b.waiting <- struct{}{}:
		time.AfterFunc(slowness, func() { <-b.waiting; do() })
	default:
	}
}

func (s Service) respond(request *nats.Msg, answer any) {
	if request.Reply == "" {
		return
	}
	m, ok := answer.(*nats.Msg)
	var err error
	if !ok {
		m = &nats.Msg{}
		m.Data, err = json.Marshal(answer)
	}
	if err == nil {
		err = request.RespondMsg(m)
	}
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		s.Logger.Warn("a request is not answered", zap.String("for", s.What), zap.String("subject", request.Subject), zap.Error(err))
	}
}
