package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/quota"
	"github.com/hookspan/hookspan/bridge/internal/stream/requests"
	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/natserr"
	"github.com/hookspan/hookspan/internal/natspull"
)

const (
	// OthersMost bounds the durables of the stream of events to which another program may add
	// one. Each durable costs every event a little, and the bridge needs the rest of the
	// stream's limit.
	OthersMost = 256
	// shortestAckWait, as in package consumers, limits how often one event comes again to a
	// program that does not read.
	shortestAckWait = time.Second

	creatorsAtOnce = 4
	createsWaiting = 1024
	maxCreate      = 64 << 10 // bytes of one request
)

// Rates at which all programs together, and each connection, may make or change durables: each
// takes several syncs of the disk.
var (
	createsOfAll = quota.Rates{Entries: 20, EntriesBurst: 400, Bytes: 1 << 20, BytesBurst: 32 << 20}
	createsOfOne = quota.Rates{Entries: 5, EntriesBurst: 100, Bytes: 1 << 20, BytesBurst: 8 << 20}
)

// Creator makes durables for programs of other accounts, and returns JetStream's answers. It
// keeps them from using up the durables of the stream, from touching durables of the bridge,
// and from push consumers, which would deliver into the account of the bridge. Any number of
// processes may run one.
type Creator struct {
	js      jetstream.JetStream
	cfg     Config
	mu      sync.Mutex // held from counting durables to adding one
	creates *quota.Buckets[string]
}

// NewCreator returns a creator that is not running yet.
func NewCreator(js jetstream.JetStream, cfg Config) *Creator {
	return &Creator{js: js, cfg: cfg.named("durables"), creates: quota.NewBuckets[string](createsOfAll, createsOfOne, maxHolders)}
}

// Run answers requests until ctx ends, and returns nil.
func (c *Creator) Run(ctx context.Context) error {
	return requests.Service{
		Subject: c.cfg.Names.AllCreates(), Group: "hookspan-creator", What: "durables of other programs",
		AtOnce: creatorsAtOnce, MaxWaiting: createsWaiting, Logger: c.cfg.Logger,
		Answer: func(ctx context.Context, request *nats.Msg) any { return c.answer(ctx, request) },
	}.Run(ctx, c.js.Conn)
}

func (c *Creator) answer(ctx context.Context, request *nats.Msg) any {
	answer, err := c.create(ctx, request)
	if err == nil {
		return json.RawMessage(answer)
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		c.cfg.Logger.Error("a durable of another program cannot be made", zap.String("subject", request.Subject), zap.Error(err))
		api = &jetstream.APIError{Code: 503, ErrorCode: natserr.NoResources, Description: "the durable cannot be made now: try again"}
	}
	return requests.Slow{Answer: refusal{Type: "io.nats.jetstream.api.v1.consumer_create_response", Error: api}}
}

// create returns JetStream's answer. The error is a [jetstream.APIError] when the request is
// refused.
func (c *Creator) create(ctx context.Context, request *nats.Msg) ([]byte, error) {
	durable, api := c.cfg.Names.ParseCreate(request.Subject)
	if err := c.check(durable, request.Data); err != nil {
		return nil, err
	}
	program := requests.Program(request)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.creates.Take(program, len(request.Data), time.Now()) != quota.Allowed {
		c.cfg.raise("changes of durables", program,
			"other programs make or change durables more often than they may, and some are refused: have them make theirs once. The details name one")
		return nil, &jetstream.APIError{Code: 503, ErrorCode: natserr.NoResources, Description: "durables are made or changed too often: try again later"}
	}
	if err := c.mayHave(ctx, durable, program); err != nil {
		return nil, err
	}
	answer, err := c.js.Conn().RequestMsgWithContext(ctx, &nats.Msg{Subject: inDomain(c.js, api), Header: level(request.Header), Data: request.Data})
	if err != nil {
		return nil, fmt.Errorf("making durable %s: %w", durable, err)
	}
	return answer.Data, nil
}

func refused(description string) error {
	return &jetstream.APIError{Code: 400, ErrorCode: jetstream.JSErrCodeBadRequest, Description: description}
}

// check refuses, at no cost to the server, settings that no program needs.
func (c *Creator) check(durable string, body []byte) error {
	if durable == "" || strings.ContainsAny(durable, " \t\r\n./\\*>") {
		return refused("the subject names no consumer")
	}
	if durable == bridge.PredictionsConsumer {
		return refused("durable " + durable + " is the bridge's")
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
	if _, marked := r.Config.Metadata[consumerstate.MetadataKind]; marked {
		return refused("the metadata " + consumerstate.MetadataKind + " is for durables of the bridge")
	}
	return nil
}

// mayHave returns an error unless the program may have the durable: an existing one that is not
// the bridge's, or one more. Nobody may change an existing ephemeral consumer, since the bridge
// has such consumers too.
func (c *Creator) mayHave(ctx context.Context, durable, program string) error {
	stream, err := c.js.Stream(ctx, c.cfg.Names.EventsStream())
	if err != nil {
		return fmt.Errorf("looking at the stream of events: %w", err)
	}
	have, err := stream.Consumer(ctx, durable)
	switch {
	case err == nil && (have.CachedInfo().Config.Metadata[consumerstate.MetadataKind] != "" || have.CachedInfo().Config.Durable == ""):
		return refused("consumer " + durable + " is somebody else's")
	case err == nil:
		return nil
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return fmt.Errorf("looking at durable %s: %w", durable, err)
	case stream.CachedInfo().State.Consumers >= OthersMost:
		c.cfg.raise("durables", program, fmt.Sprintf("other programs want more durables than they may have, and some are refused: they may add one while the stream of events has fewer than %d. "+
			"Remove those that nobody reads with hookspan consumers remove", OthersMost))
		return &jetstream.APIError{Code: 400, ErrorCode: jetstream.JSErrCodeMaximumConsumersLimit, Description: "maximum consumers limit reached"}
	}
	return nil
}

// inDomain returns the subject of a call of JetStream where the streams are.
func inDomain(js jetstream.JetStream, api string) string {
	return natspull.Prefix(js) + strings.TrimPrefix(api, jetstream.DefaultAPIPrefix)
}
