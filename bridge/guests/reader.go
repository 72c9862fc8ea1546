package guests

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/requests"
)

const (
	// readsAtOnce bounds the memory that answers take before they are sent: a message has
	// up to 8 MiB. The server alone would read all that it is asked for at once, and the
	// acknowledgements of webhooks would wait behind it.
	readsAtOnce  = 8
	readsWaiting = 8192
	// readBytes is how many bytes a second all programs together read so: thirty thousand
	// ordinary events.
	readBytes, readBurst = 64 << 20, 16 << 20
	maxRead              = 4 << 10 // bytes of one request
)

// ReaderConfig of a [Reader].
type ReaderConfig struct {
	Names bridge.Names
	// Logger nil logs nothing.
	Logger *zap.Logger
}

// Reader reads single messages for programs of other accounts, a few at a time. They ask
// as if they asked JetStream, and get its answer. Any number of processes may run one.
type Reader struct {
	js   jetstream.JetStream
	cfg  ReaderConfig
	pace *rate.Limiter
}

// NewReader returns a reader that is not running yet.
func NewReader(js jetstream.JetStream, cfg ReaderConfig) *Reader {
	cfg.Logger = requests.Sampled(cmp.Or(cfg.Logger, zap.NewNop()).Named("reader"))
	return &Reader{js: js, cfg: cfg, pace: rate.NewLimiter(readBytes, readBurst)}
}

// Run answers requests until ctx ends, and returns nil.
func (r *Reader) Run(ctx context.Context) error {
	return requests.Service{
		Subject: r.cfg.Names.AllGets(), Group: "hookspan-reader", What: "messages of streams",
		AtOnce: readsAtOnce, MaxWaiting: readsWaiting, Logger: r.cfg.Logger,
		Answer: func(ctx context.Context, request *nats.Msg) any { return r.answer(ctx, request) },
	}.Run(ctx, r.js.Conn)
}

// none is an answer without a message, as JetStream gives it.
func none(direct bool, code int, description string) any {
	if direct {
		return requests.Slow{Answer: &nats.Msg{Header: nats.Header{"Status": {strconv.Itoa(code)}, "Description": {description}}}}
	}
	return requests.Slow{Answer: refusal{
		Type: "io.nats.jetstream.api.v1.stream_msg_get_response", Error: &jetstream.APIError{Code: code, Description: description},
	}}
}

func (r *Reader) answer(ctx context.Context, request *nats.Msg) any {
	api, direct := r.cfg.Names.ParseGet(request.Subject)
	if err := single(request.Data); err != nil {
		return none(direct, 408, "Bad Request: "+err.Error())
	}
	m, err := r.js.Conn().RequestWithContext(ctx, api, request.Data)
	if err != nil {
		r.cfg.Logger.Warn("a message cannot be read for another program", zap.String("subject", request.Subject), zap.Error(err))
		return none(direct, 503, "The message cannot be read now: try again")
	}
	if err := r.pace.WaitN(ctx, min(m.Size(), readBurst)); err != nil {
		return none(direct, 503, "Too much is read at once: try again")
	}
	return &nats.Msg{Header: m.Header, Data: m.Data}
}

// single returns an error unless the request is for one message.
func single(body []byte) error {
	if len(body) == 0 {
		return nil // the subject says which
	}
	if len(body) > maxRead {
		return fmt.Errorf("at most %d bytes are possible", maxRead)
	}
	var r struct {
		Batch, MaxBytes int64
		MultiLast       []string `json:"multi_last"`
	}
	switch err := json.Unmarshal(body, &r); {
	case err != nil:
		return errors.New("not the JSON of a request for a message")
	case r.Batch > 1 || len(r.MultiLast) > 0:
		return errors.New("one message at a time can be read here, a consumer reads more")
	}
	return nil
}
