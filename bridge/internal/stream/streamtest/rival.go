package streamtest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// App returns a connection as user app, the user of other teams' programs. The server must
// listen.
func (b *Bench) App() jetstream.JetStream {
	b.t.Helper()
	password, err := datafolder.ReadSecret(b.Folder.Dir(), stream.AppUser)
	require.NoError(b.t, err)
	nc, err := nats.Connect(b.Server.URL(), nats.UserInfo(stream.AppUser, password), nats.Timeout(time.Minute), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	require.NoError(b.t, err)
	b.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(b.t, err)
	return js
}

// Rival is a publisher beside a program that knows each message id of some streams in advance,
// and stores another message under it.
type Rival struct {
	*stream.Publisher

	t testing.TB
	// as publishes the rival messages.
	as       jetstream.JetStream
	subjects map[string]string

	mu    sync.Mutex
	taken []string
}

// NewRival returns a publisher of b with a rival, which publishes through js to one subject of
// each stream.
func NewRival(b *Bench, js jetstream.JetStream, subjects map[string]string) *Rival {
	return &Rival{Publisher: b.Publisher(), t: b.t, as: js, subjects: subjects}
}

// Taken returns the ids that the rival took.
func (r *Rival) Taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.taken...)
}

// Store is that of the publisher, after the rival.
func (r *Rival) Store(ctx context.Context, st string, m *nats.Msg) (bridge.Receipt, error) {
	if subject := r.subjects[st]; subject != "" {
		id := m.Header.Get(bridge.HeaderMsgID)
		ack, err := r.as.Publish(ctx, subject, []byte("planted"), jetstream.WithMsgID(id))
		if err != nil {
			return bridge.Receipt{}, err
		}
		if !ack.Duplicate {
			r.mu.Lock()
			r.taken = append(r.taken, id)
			r.mu.Unlock()
		}
	}
	return r.Publisher.Store(ctx, st, m)
}
