// Package guests lets programs of other accounts use streams of the bridge within bounds.
// They ask as if they asked JetStream, and the accounts of the embedded server send what
// they ask here.
package guests

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/requests"
)

const (
	// OthersMost is up to how many durables the stream of events may have for other
	// programs to add one. Each costs every event a little, and the rest of what the
	// stream takes is for the durables of the bridge.
	OthersMost = 256
	// createsPerSecond and createsAtOnce are how many durables other programs may make
	// or change: each is several syncs of the disk.
	createsPerSecond, createsAtOnce = 20, 200

	// shortestAckWait, as in package consumers, bounds how often one event comes again to a program that does not
	// read.
	shortestAckWait = time.Second

	creatorsAtOnce  = 4
	createsWaiting  = 1024
	maxCreate       = 64 << 10 // bytes of one request
	codeMaxDurables = 10026    // nats-server 2.15, JSMaximumConsumersLimitErr
	codeBadRequest  = 10003
	codeNoResources = 10023
)

// CreatorConfig of a [Creator].
type CreatorConfig struct {
	Names bridge.Names
	// Alarms is told when other programs want more durables than they may have.
	Alarms bridge.Alarmer
	// Logger nil logs nothing.
	Logger *zap.Logger
}

// Creator makes durables for programs of other accounts. They ask as if they asked
// JetStream, and get its answer; but they cannot use up the durables of the stream, touch
// one of the bridge, or have one that delivers by itself into the account of the bridge.
// Any number of processes may run one.
type Creator struct {
	js   jetstream.JetStream
	cfg  CreatorConfig
	rate *rate.Limiter
	mu   sync.Mutex // held from counting durables to adding one
}

// NewCreator returns a creator that is not running yet.
func NewCreator(js jetstream.JetStream, cfg CreatorConfig) *Creator {
	cfg.Logger = requests.Sampled(cmp.Or(cfg.Logger, zap.NewNop()).Named("durables"))
	return &Creator{js: js, cfg: cfg, rate: rate.NewLimiter(createsPerSecond, createsAtOnce)}
}

// Run answers requests until ctx ends, and returns nil.
func (c *Creator) Run(ctx context.Context) error {
	return requests.Service{
		Subject: c.cfg.Names.AllCreates(), Group: "hookspan-creator", What: "durables of other programs",
		AtOnce: creatorsAtOnce, MaxWaiting: createsWaiting, Logger: c.cfg.Logger,
		Answer: func(ctx context.Context, request *nats.Msg) any { return c.answer(ctx, request) },
	}.Run(ctx, c.js.Conn)
}

// refusal is an error in the form of JetStream's answer.
type refusal struct {
	Type  string              `json:"type"`
	Error *jetstream.APIError `json:"error"`
}

func (c *Creator) answer(ctx context.Context, request *nats.Msg) any {
	answer, err := c.create(ctx, request)
	if err == nil {
		return json.RawMessage(answer)
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		c.cfg.Logger.Error("a durable of another program cannot be made", zap.String("subject", request.Subject), zap.Error(err))
		api = &jetstream.APIError{Code: 503, ErrorCode: codeNoResources, Description: "the durable cannot be made now: try again"}
	}
	// One that is refused is asked for again in vain.
	return requests.Slow{Answer: refusal{Type: "io.nats.jetstream.api.v1.consumer_create_response", Error: api}}
}

// create returns what JetStream answers. The error is an [jetstream.APIError] when the
// request may not be passed on.
func (c *Creator) create(ctx context.Context, request *nats.Msg) ([]byte, error) {
	durable, api := c.cfg.Names.ParseCreate(request.Subject)
	if err := c.check(durable, request.Data); err != nil {
		return nil, err
	}
	if !c.rate.AllowN(time.Now(), 1) {
		return nil, c.over(503, codeNoResources, fmt.Sprintf("other programs may make or change %d durables a second: try again later", createsPerSecond))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.mayHave(ctx, durable); err != nil {
		return nil, err
	}
	answer, err := c.js.Conn().RequestWithContext(ctx, api, request.Data)
	if err != nil {
		return nil, fmt.Errorf("making durable %s: %w", durable, err)
	}
	return answer.Data, nil
}

func refused(description string) error {
	return &jetstream.APIError{Code: 400, ErrorCode: codeBadRequest, Description: description}
}

// check refuses what no program needs, before it costs anything.
func (c *Creator) check(durable string, body []byte) error {
	if durable == "" {
		return refused("the subject names no consumer")
	}
	if len(body) > maxCreate {
		return refused(fmt.Sprintf("the request has %d bytes, at most %d are possible", len(body), maxCreate))
	}
	var r struct {
		Config struct {
			DeliverSubject string            `json:"deliver_subject"`
			AckWait        time.Duration     `json:"ack_wait"`
			Backoff        []time.Duration   `json:"backoff"`
			Metadata       map[string]string `json:"metadata"`
		} `json:"config"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return refused("the request is not the JSON of a consumer")
	}
	if r.Config.DeliverSubject != "" {
		return refused("a consumer that delivers by itself (deliver_subject) would deliver into the account of the bridge: make one that is pulled")
	}
	if wait := r.Config.AckWait; wait > 0 && wait < shortestAckWait || slices.ContainsFunc(r.Config.Backoff, func(d time.Duration) bool { return d < shortestAckWait }) {
		return refused(fmt.Sprintf("ack_wait and backoff must be at least %v: what is not acknowledged is delivered again and again", shortestAckWait))
	}
	if _, marked := r.Config.Metadata[bridge.MetadataKind]; marked {
		return refused("the metadata " + bridge.MetadataKind + " is for durables of the bridge")
	}
	return nil
}

// mayHave reports whether another program may have the durable: one that is there and not
// the bridge's, or one more.
func (c *Creator) mayHave(ctx context.Context, durable string) error {
	stream, err := c.js.Stream(ctx, c.cfg.Names.EventsStream())
	if err != nil {
		return fmt.Errorf("looking at the stream of events: %w", err)
	}
	have, err := stream.Consumer(ctx, durable)
	switch {
	case err == nil && have.CachedInfo().Config.Metadata[bridge.MetadataKind] != "":
		return refused("durable " + durable + " is the bridge's")
	case err == nil:
		return nil
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return fmt.Errorf("looking at durable %s: %w", durable, err)
	case stream.CachedInfo().State.Consumers >= OthersMost:
		return c.over(400, codeMaxDurables, fmt.Sprintf("maximum consumers limit reached: other programs may add durables while there are fewer than %d", OthersMost))
	}
	return nil
}

func (c *Creator) over(status int, code jetstream.ErrorCode, why string) error {
	c.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmQuota, Subject: "durables",
		Text: "other programs want more durables than they may have, and some are refused: " + why + ". Remove those that nobody reads with hookspan consumers remove",
	})
	return &jetstream.APIError{Code: status, ErrorCode: code, Description: why}
}
