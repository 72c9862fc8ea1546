// Package gateway lets programs of other accounts call JetStream on streams of the bridge
// within bounds. The accounts of the embedded server redirect their calls here.
package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/bridge/internal/stream/guestcalls"
	"github.com/hookspan/hookspan/bridge/internal/stream/quota"
	"github.com/hookspan/hookspan/bridge/internal/stream/requests"
	"github.com/hookspan/hookspan/internal/natserr"
)

const (
	// callsAtOnce bounds the memory of answers on their way: a message has up to 8 MiB. The
	// server would read all requested messages at once, and acknowledgements of webhooks would
	// wait behind them.
	callsAtOnce  = 8
	callsWaiting = 8192
	maxCall      = 4 << 10 // bytes of one request
	maxHolders   = 1024
)

// Rates at which all programs together, and each connection, may read single messages and make
// other calls.
var (
	getsOfAll  = quota.Rates{Entries: 5000, EntriesBurst: 10_000, Bytes: 64 << 20, BytesBurst: 64 << 20}
	getsOfOne  = quota.Rates{Entries: 2000, EntriesBurst: 4000, Bytes: 16 << 20, BytesBurst: 16 << 20}
	callsOfAll = quota.Rates{Entries: 200, EntriesBurst: 2000, Bytes: 16 << 20, BytesBurst: 16 << 20}
	callsOfOne = quota.Rates{Entries: 50, EntriesBurst: 500, Bytes: 8 << 20, BytesBurst: 8 << 20}
)

// Config of a [Caller] and of a [Creator].
type Config struct {
	Names bridge.Names
	// Alarms is told when programs exceed their quota.
	Alarms bridge.Alarmer
	// Logger nil logs nothing.
	Logger *zap.Logger
}

func (c Config) named(name string) Config {
	c.Logger = requests.Sampled(cmp.Or(c.Logger, zap.NewNop()).Named(name))
	return c
}

func (c Config) raise(what, program, text string) {
	c.Alarms.Raise(lasting.Again(bridge.Alarm{
		Kind: bridge.AlarmQuota, Subject: what, Text: text, Details: map[string]any{"program": program},
	}, "no program has asked for more "+what+" than it may"))
}

// Caller makes read-only calls for programs of other accounts, those of [guestcalls.Allowed], a
// few at a time, and returns JetStream's answers. Any number of processes may run one.
type Caller struct {
	js  jetstream.JetStream
	cfg Config

	gets  *quota.Buckets[string]
	calls *quota.Buckets[string]
}

// NewCaller returns a caller that is not running yet.
func NewCaller(js jetstream.JetStream, cfg Config) *Caller {
	return &Caller{
		js: js, cfg: cfg.named("calls"),
		gets: quota.NewBuckets[string](getsOfAll, getsOfOne, maxHolders), calls: quota.NewBuckets[string](callsOfAll, callsOfOne, maxHolders),
	}
}

// Run answers requests until ctx ends, and returns nil. Reads of messages have their own queue,
// so that small calls do not wait behind large answers.
func (c *Caller) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, subject := range []string{c.cfg.Names.AllCalls(), c.cfg.Names.AllGets()} {
		service := requests.Service{
			Subject: subject, Group: "hookspan-caller", What: "calls of other programs",
			AtOnce: callsAtOnce, MaxWaiting: callsWaiting, Logger: c.cfg.Logger,
			Answer: func(ctx context.Context, request *nats.Msg) any { return c.answer(ctx, request) },
		}
		group.Go(func() error { return service.Run(ctx, c.js.Conn) })
	}
	return group.Wait()
}

func (c *Caller) answer(ctx context.Context, request *nats.Msg) any {
	api, program := guestcalls.Parse(c.cfg.Names, request.Subject), requests.Program(request)
	get, direct := guestcalls.IsGet(api)
	if !guestcalls.IsAllowed(c.cfg.Names, api) {
		return refuse(direct, 403, "this is not for other programs")
	}
	if err := c.check(get, request.Data); err != nil {
		return refuse(direct, 400, err.Error())
	}
	buckets := c.calls
	if get {
		buckets = c.gets
	}
	if buckets.Begin(program, time.Now()) != quota.Allowed {
		c.cfg.raise("calls", program, "other programs ask NATS for more than they may, and some are refused so that webhooks keep their time: have them ask less often. The details name one")
		return refuse(direct, 503, "too much is asked for: try again later")
	}
	m, err := c.js.Conn().RequestMsgWithContext(ctx, &nats.Msg{Subject: inDomain(c.js, api), Header: level(request.Header), Data: request.Data})
	if err != nil {
		c.cfg.Logger.Warn("a call of another program is not answered", zap.String("subject", request.Subject), zap.Error(err))
		return refuse(direct, 503, "there is no answer now: try again")
	}
	buckets.Spend(program, m.Size(), time.Now())
	return &nats.Msg{Header: m.Header, Data: m.Data}
}

// level returns the only header that a call may pass on: the API level that the client needs.
func level(header nats.Header) nats.Header {
	out := nats.Header{}
	if v := header.Get("Nats-Required-Api-Level"); v != "" {
		out.Set("Nats-Required-Api-Level", v)
	}
	return out
}

// check refuses calls with several answers, and expensive ones.
func (c *Caller) check(get bool, body []byte) error {
	if len(body) == 0 {
		return nil // the subject says everything
	}
	if len(body) > maxCall {
		return fmt.Errorf("at most %d bytes are possible", maxCall)
	}
	var r struct {
		Batch     int64           `json:"batch"`
		MultiLast json.RawMessage `json:"multi_last"`
		Subjects  string          `json:"subjects_filter"`
	}
	err := json.Unmarshal(body, &r)
	switch {
	case err != nil:
		return errors.New("it is not the JSON of a request")
	case get && (r.Batch > 0 || r.MultiLast != nil):
		return errors.New("one message at a time can be read here, a consumer reads more")
	case !get && r.Subjects != "" && !c.ofOneConsumer(r.Subjects):
		return fmt.Errorf("subjects can be counted of one consumer, as %s", c.cfg.Names.AttemptsSubject(c.cfg.Names.AttemptsPrefix("<consumer>")+">"))
	}
	return nil
}

// ofOneConsumer reports whether the filter is about the attempt records of one consumer.
func (c *Caller) ofOneConsumer(filter string) bool {
	tail, ok := strings.CutPrefix(filter, c.cfg.Names.AttemptsSubject(""))
	name, _, more := strings.Cut(tail, ".")
	return ok && more && bridge.CheckName("consumer", name) == nil
}

// refusal is an error in the form of JetStream's answer.
type refusal struct {
	Type  string              `json:"type"`
	Error *jetstream.APIError `json:"error"`
}

// refuse returns an error answer in JetStream's form.
func refuse(direct bool, status int, description string) any {
	if direct {
		return requests.Slow{Answer: &nats.Msg{Header: nats.Header{"Status": {strconv.Itoa(status)}, "Description": {description}}}}
	}
	code := jetstream.JSErrCodeBadRequest
	if status >= 500 {
		code = natserr.NoResources
	}
	return requests.Slow{Answer: refusal{
		Type: "io.nats.jetstream.api.v1.error_response", Error: &jetstream.APIError{Code: status, ErrorCode: code, Description: description},
	}}
}
