package backup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/natserr"
)

const (
	// answerTime bounds one answer of the server, and one part of a snapshot.
	answerTime = 30 * time.Second
	// windowBytes is how much of a snapshot the server sends ahead.
	windowBytes = 4 << 20
	chunkBytes  = 128 << 10
)

// snapshot reads a stream as NATS sends it. What was read is acknowledged with the next read, so
// that no more than a window is in memory.
type snapshot struct {
	ctx    context.Context //nolint:containedctx // of the one who reads
	sub    *nats.Subscription
	last   *nats.Msg
	unread []byte
	ended  error

	// Config and State are those of the stream when the snapshot began.
	config json.RawMessage
	parsed server.StreamConfig
	state  server.StreamState
}

// apiSubject is a subject of the JetStream API for the domain or the prefix of js.
func apiSubject(js jetstream.JetStream, subject string) string {
	o := js.Options()
	prefix := o.APIPrefix
	if prefix == "" && o.Domain != "" {
		prefix = "$JS." + o.Domain + ".API"
	}
	return strings.TrimSuffix(cmp.Or(prefix, "$JS.API"), ".") + "." + subject
}

// request asks the server, and decodes its answer.
func request(ctx context.Context, js jetstream.JetStream, subject string, ask, answer any) error {
	text, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	m, err := js.Conn().RequestWithContext(ctx, apiSubject(js, subject), text)
	if err != nil {
		return err
	}
	return decodeAnswer(m.Data, answer)
}

func decodeAnswer(text []byte, answer any) error {
	var failed server.ApiResponse
	if err := errors.Join(json.Unmarshal(text, &failed), json.Unmarshal(text, answer)); err != nil {
		return fmt.Errorf("reading the answer of NATS: %w", err)
	}
	if failed.Error != nil {
		return explained(failed.Error)
	}
	return nil
}

// explained adds what an operator can do about a refusal.
func explained(e *server.ApiError) error {
	err := fmt.Errorf("NATS refuses it: %s (%d)", e.Description, e.ErrCode)
	switch jetstream.ErrorCode(e.ErrCode) {
	case natserr.NoResources, natserr.StorageResources, natserr.AccountResources:
		return fmt.Errorf("%w: it has too little room: raise max_file_store of the server or the limit of the account, or make nats.events.max_bytes smaller", err)
	}
	return err
}

type snapshotAnswer struct {
	Config json.RawMessage     `json:"config"`
	State  *server.StreamState `json:"state"`
}

// openSnapshot begins to read a stream with its consumers. The caller calls close. The error
// wraps [jetstream.ErrStreamNotFound] when there is none.
func openSnapshot(ctx context.Context, js jetstream.JetStream, stream string) (_ *snapshot, err error) {
	opened, err := js.Stream(ctx, stream)
	if err == nil && opened.CachedInfo().Cluster != nil {
		err = led(ctx, opened)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	inbox := js.Conn().NewInbox()
	s := &snapshot{ctx: ctx}
	if s.sub, err = js.Conn().SubscribeSync(inbox); err != nil {
		return nil, fmt.Errorf("taking a snapshot of %s: %w", stream, err)
	}
	var answer snapshotAnswer
	err = request(ctx, js, "STREAM.SNAPSHOT."+stream, server.JSApiStreamSnapshotRequest{
		DeliverSubject: inbox, ChunkSize: chunkBytes, WindowSize: windowBytes,
	}, &answer)
	if err == nil && answer.State == nil {
		err = errors.New("NATS answered without a state")
	}
	if err == nil {
		s.config, s.state = answer.Config, *answer.State
		err = json.Unmarshal(answer.Config, &s.parsed)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("taking a snapshot of %s: %w", stream, err)
	}
	return s, nil
}

// led waits until each consumer of a stream in a cluster has a leader. A server that cannot ask one
// for its position cuts its snapshot off (nats-server 2.15).
func led(ctx context.Context, stream jetstream.Stream) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	list := stream.ConsumerNames(ctx)
	for name := range list.Name() {
		retry := backoff.Backoff{First: 20 * time.Millisecond, Max: time.Second}
		for {
			once, end := context.WithTimeout(ctx, askTime)
			_, err := stream.Consumer(once, name)
			end()
			if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
				break
			}
			if backoff.Sleep(ctx, retry.Next()); ctx.Err() != nil {
				return fmt.Errorf("consumer %s does not answer, as one without a leader: %w", name, err)
			}
		}
	}
	return list.Err()
}

func (s *snapshot) close() { _ = s.sub.Unsubscribe() } // or the connection is gone

// Read implements io.Reader.
func (s *snapshot) Read(p []byte) (int, error) {
	for len(s.unread) == 0 && s.ended == nil {
		s.ended = s.next()
	}
	if len(s.unread) == 0 {
		return 0, s.ended
	}
	n := copy(p, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

func (s *snapshot) next() error {
	if s.last != nil && s.last.Reply != "" {
		if err := s.last.Respond(nil); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, answerTime)
	defer cancel()
	m, err := s.sub.NextMsgWithContext(ctx)
	if err != nil {
		return fmt.Errorf("waiting for the next part of a snapshot: %w", err)
	}
	s.last, s.unread = m, m.Data
	if len(m.Data) > 0 {
		return nil
	}
	if status := m.Header.Get("Status"); status != "" && status != "204" {
		return fmt.Errorf("NATS ended the snapshot: %s %s", status, m.Header.Get("Description"))
	}
	return io.EOF
}

// restoreStream makes a stream of an archive, and returns when NATS has all of it. The stream
// must not exist.
func restoreStream(ctx context.Context, js jetstream.JetStream, config server.StreamConfig, state server.StreamState, data io.Reader) error {
	var begun server.JSApiStreamRestoreResponse
	err := request(ctx, js, "STREAM.RESTORE."+config.Name, server.JSApiStreamRestoreRequest{Config: config, State: state}, &begun)
	if err != nil {
		return fmt.Errorf("restoring %s: %w", config.Name, err)
	}
	chunk := make([]byte, min(chunkBytes, max(1<<10, js.Conn().MaxPayload()/2)))
	for send := sendFirst; ; send = sendPart {
		n, err := io.ReadFull(data, chunk)
		if n > 0 {
			if err := send(ctx, js, begun.DeliverSubject, chunk[:n], answerTime); err != nil {
				return fmt.Errorf("restoring %s: %w", config.Name, err)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("restoring %s: %w", config.Name, err)
		}
	}
	if err := sendPart(ctx, js, begun.DeliverSubject, nil, restoreTime); err != nil {
		return fmt.Errorf("restoring %s: %w", config.Name, err)
	}
	return nil
}

// sendFirst is [sendPart] that waits until the parts have a reader: in a cluster the answer that
// there is one is faster than the news of the reader.
func sendFirst(ctx context.Context, js jetstream.JetStream, subject string, part []byte, within time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		err := sendPart(ctx, js, subject, part, within)
		if !errors.Is(err, nats.ErrNoResponders) {
			return err
		}
		select {
		case <-waiting.Done():
			return err
		case <-time.After(readerPoll):
		}
	}
}

const readerPoll = 20 * time.Millisecond

// restoreTime bounds what the server does once it has everything.
const restoreTime = 10 * time.Minute

func sendPart(ctx context.Context, js jetstream.JetStream, subject string, part []byte, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	m, err := js.Conn().RequestWithContext(ctx, subject, part)
	if err != nil || len(m.Data) == 0 {
		return err
	}
	return decodeAnswer(m.Data, &server.JSApiStreamCreateResponse{})
}
