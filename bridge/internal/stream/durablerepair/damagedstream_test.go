package durablerepair_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

// A damaged description of the stream costs no message and no durable.
func TestDamagedStreamKeepsItsDurables(t *testing.T) {
	t.Parallel()
	dir := halfHandled(t)
	for _, file := range []string{"meta.inf", "meta.sum", "msgs/index.db"} {
		for how, damage := range damages {
			t.Run(file+" "+how, func(t *testing.T) {
				b, alarms := reopen(t, dir, streamtest.Listening(), func(dir string) { damage(t, filepath.Join(dir, eventsFolder, file)) })
				require.Empty(t, alarms.Of(bridge.AlarmDurableDamaged))
				for _, name := range readers {
					// Before anything makes it.
					c, err := b.JS.Consumer(context.Background(), b.Names.EventsStream(), name)
					require.NoError(t, err)
					require.Equal(t, uint64(before+handled), c.CachedInfo().AckFloor.Stream)
					require.Greater(t, requireWaiting(t, b, name), uint64(before+handled))
				}
			})
		}
	}
}

// Provisioning recreates every stream with a damaged description around its messages, and
// reports it.
func TestDamagedStreamsKeepTheirMessages(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	b := streamtest.StartIn(t, dir, streamtest.Config())
	subjects := map[string]string{}
	list := b.JS.ListStreams(ctx)
	for info := range list.Info() {
		subject := strings.NewReplacer("*", "some", ">", "some.thing").Replace(info.Config.Subjects[0])
		_, err := b.JS.Publish(ctx, subject, []byte("kept"))
		require.NoError(t, err)
		subjects[info.Config.Name] = subject
	}
	require.NoError(t, list.Err())
	require.Len(t, subjects, 11)
	b.Stop()
	for how, damage := range damages {
		for _, file := range []string{"meta.inf", "meta.sum"} {
			t.Run(file+" "+how, func(t *testing.T) {
				copied := t.TempDir()
				require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
				for st := range subjects {
					damage(t, filepath.Join(copied, "nats/jetstream/HOOKSPAN/streams", st, file))
				}
				folder, err := datafolder.Open(copied)
				require.NoError(t, err)
				defer func() { require.NoError(t, folder.Close()) }()
				s, err := stream.StartEmbedded(folder, streamtest.Config(), zap.NewNop())
				require.NoError(t, err)
				defer s.Close()
				nc, err := s.Connect("test", zap.NewNop())
				require.NoError(t, err)
				defer nc.Close()
				js, err := jetstream.New(nc)
				require.NoError(t, err)
				said := map[string]uint64{}
				require.NoError(t, stream.Provision(ctx, js, streamtest.Config().Streams, zap.NewNop(), func(c stream.Change) { said[c.Stream] = c.Kept }))
				for name, subject := range subjects {
					require.Equal(t, uint64(1), said[name], name)
					st, err := js.Stream(ctx, name)
					require.NoError(t, err)
					m, err := st.GetLastMsgForSubject(ctx, subject)
					require.NoError(t, err, name)
					require.Equal(t, "kept", string(m.Data))
				}
			})
		}
	}
}

// A durable and its stream may be damaged together.
func TestDamagedStreamAndDurable(t *testing.T) {
	t.Parallel()
	b, alarms := reopen(t, halfHandled(t), streamtest.Listening(), func(dir string) {
		removeAll(t, filepath.Join(dir, eventsFolder, "meta.sum"))
		for _, name := range readers {
			damages["zeroed"](t, filepath.Join(dir, eventsFolder, "obs", name, "o.dat"))
		}
	})
	require.Len(t, alarms.Of(bridge.AlarmDurableDamaged), len(readers))
	for _, name := range readers {
		require.Greater(t, requireWaiting(t, b, name), uint64(before))
	}
}

// The server cannot read some of the messages then, and must go on with the others.
func TestDamagedMessagesStopNobody(t *testing.T) {
	t.Parallel()
	dir := halfHandled(t)
	for how, damage := range damages {
		t.Run(how, func(t *testing.T) {
			ctx := context.Background()
			b, _ := reopen(t, dir, streamtest.Listening(), func(dir string) { damage(t, filepath.Join(dir, eventsFolder, "msgs/1.blk")) })
			_, err := b.Publisher().Publish(ctx, natstest.Event("pred_after"))
			require.NoError(t, err)
			for _, name := range readers {
				c, err := readerJS(b, name).CreateOrUpdateConsumer(ctx, b.Names.EventsStream(), readerConfig(name))
				require.NoError(t, err)
				it, err := c.Messages(jetstream.PullExpiry(time.Second))
				require.NoError(t, err)
				for id := ""; id != "pred_after"; {
					msg, err := it.Next(jetstream.NextContext(ctx))
					require.NoError(t, err)
					id = msg.Headers().Get("ce-subject")
					require.NoError(t, msg.Ack())
				}
				it.Stop()
			}
		})
	}
}
