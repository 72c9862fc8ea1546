package stream_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
)

const (
	eventsFolder = "nats/jetstream/HOOKSPAN/streams/HOOKSPAN_EVENTS"
	// before came before there was a durable, handled were acknowledged, and waiting
	// were not.
	before, handled, waiting = 10, 10, 20
)

// damages are what can happen to a file.
var damages = map[string]func(t *testing.T, path string){
	"zeroed": func(t *testing.T, path string) {
		rewrite(t, path, func(b []byte) []byte { return make([]byte, len(b)) })
	},
	"cut to half":    func(t *testing.T, path string) { rewrite(t, path, func(b []byte) []byte { return b[:len(b)/2] }) },
	"cut to a byte":  func(t *testing.T, path string) { rewrite(t, path, func(b []byte) []byte { return b[:1] }) },
	"cut to nothing": func(t *testing.T, path string) { rewrite(t, path, func([]byte) []byte { return nil }) },
	"removed":        removeAll,
}

func removeAll(t *testing.T, path string) { require.NoError(t, os.RemoveAll(path)) }

func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, change(slices.Clone(text)), 0o600))
}

// readers are a consumer of the configuration, and one that a program made.
var readers = []string{"archive", "team"}

// readerConfig is what a program asks for: what is new, from when it comes first.
func readerConfig(name string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy, AckWait: time.Second,
		FilterSubjects: []string{"hookspan.events.>", "hookspan.again." + name + ".>"},
	}
}

// readerJS is the connection of whoever reads as that consumer.
func readerJS(t *testing.T, b *streamtest.Bench, name string) jetstream.JetStream {
	if name == "archive" {
		return b.JS
	}
	_, js := app(t, b)
	return js
}

// halfHandled returns a data folder with events that its readers have handled in part.
func halfHandled(t *testing.T) string {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	b := streamtest.StartIn(t, dir, listening())
	pub := b.Publisher()
	sent := 0
	publish := func(n int) {
		for range n {
			sent++
			_, err := pub.Publish(ctx, streamtest.Event(fmt.Sprintf("pred_%d", sent)))
			require.NoError(t, err)
		}
	}
	publish(before)
	for _, name := range readers {
		_, err := readerJS(t, b, name).CreateOrUpdateConsumer(ctx, b.Names.EventsStream(), readerConfig(name))
		require.NoError(t, err)
	}
	publish(handled + waiting)
	for _, name := range readers {
		c, err := readerJS(t, b, name).Consumer(ctx, b.Names.EventsStream(), name)
		require.NoError(t, err)
		// Some are with a worker that never answers.
		batch, err := c.Fetch(handled + 5)
		require.NoError(t, err)
		for msg := range batch.Messages() {
			meta, err := msg.Metadata()
			require.NoError(t, err)
			if meta.Sequence.Stream <= before+handled {
				require.NoError(t, msg.DoubleAck(ctx))
			}
		}
	}
	require.NoError(t, b.Server.RestoreDurables(ctx, &streamtest.Alarms{}))
	b.Stop()
	return dir
}

// reopen starts the server on a copy of the folder that change has changed.
func reopen(t *testing.T, dir string, cfg stream.EmbeddedConfig, change func(dir string)) (*streamtest.Bench, *streamtest.Alarms) {
	t.Helper()
	ctx, copied, alarms := context.Background(), t.TempDir(), &streamtest.Alarms{}
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	change(copied)
	b := streamtest.StartIn(t, copied, cfg)
	require.NoError(t, b.Server.RestoreDurables(ctx, alarms))
	return b, alarms
}

// requireWaiting reads as a program does that makes its durable when it connects, until
// it has had every event that waits, and returns the first that it got.
func requireWaiting(t *testing.T, b *streamtest.Bench, name string) (first uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := readerJS(t, b, name).CreateOrUpdateConsumer(ctx, b.Names.EventsStream(), readerConfig(name))
	require.NoError(t, err)
	it, err := c.Messages(jetstream.PullExpiry(time.Second))
	require.NoError(t, err)
	defer it.Stop()
	got := map[uint64]bool{}
	missing := func() bool {
		for seq := uint64(before + handled + 1); seq <= before+handled+waiting; seq++ {
			if !got[seq] {
				return true
			}
		}
		return false
	}
	for missing() {
		msg, err := it.Next(jetstream.NextContext(ctx))
		require.NoError(t, err, "%s got %v", name, got)
		meta, err := msg.Metadata()
		require.NoError(t, err)
		if first == 0 {
			first = meta.Sequence.Stream
		}
		got[meta.Sequence.Stream] = true
		require.NoError(t, msg.Ack())
	}
	return first
}

// Whatever happens to the files of a durable, its reader gets every event that it had
// not acknowledged.
func TestDamagedDurableSkipsNothing(t *testing.T) {
	dir := halfHandled(t)
	for _, file := range []string{"o.dat", "meta.inf", "meta.sum"} {
		for how, damage := range damages {
			t.Run(file+" "+how, func(t *testing.T) {
				b, alarms := reopen(t, dir, listening(), func(dir string) {
					for _, name := range readers {
						damage(t, filepath.Join(dir, eventsFolder, "obs", name, file))
					}
				})
				for _, name := range readers {
					require.Greater(t, requireWaiting(t, b, name), uint64(before), "what came before it is not for it")
				}
				require.Len(t, alarms.Of(bridge.AlarmDurableDamaged), len(readers))
			})
		}
	}
	for what, path := range map[string]func(name string) string{
		"its folder":       func(name string) string { return filepath.Join("obs", name) },
		"all their folder": func(string) string { return "obs" },
	} {
		t.Run(what+" removed", func(t *testing.T) {
			b, alarms := reopen(t, dir, listening(), func(dir string) {
				for _, name := range readers {
					removeAll(t, filepath.Join(dir, eventsFolder, path(name)))
				}
			})
			for _, name := range readers {
				require.Greater(t, requireWaiting(t, b, name), uint64(before))
			}
			require.Len(t, alarms.Of(bridge.AlarmDurableDamaged), len(readers))
		})
	}
}

// A flipped bit of a configuration would change what a durable is given, or make the
// server stop the whole stream.
func TestFlippedConfigurationIsPutRight(t *testing.T) {
	ctx, dir := context.Background(), halfHandled(t)
	meta, err := os.ReadFile(filepath.Join(dir, eventsFolder, "obs/team/meta.inf"))
	require.NoError(t, err)
	flip := func(at int) func([]byte) []byte { return func(b []byte) []byte { b[at] ^= 1; return b } }
	for what, damage := range map[string]func(path string){
		"the name of a setting": func(path string) {
			rewrite(t, path+"meta.inf", flip(bytes.Index(meta, []byte("deliver_policy"))))
		},
		"its value":                    func(path string) { rewrite(t, path+"meta.inf", flip(bytes.Index(meta, []byte("hookspan.events"))+1)) },
		"the end":                      func(path string) { rewrite(t, path+"meta.inf", flip(len(meta)-1)) },
		"the sum":                      func(path string) { rewrite(t, path+"meta.sum", flip(3)) },
		"the first byte of its state":  func(path string) { rewrite(t, path+"o.dat", flip(0)) },
		"the second byte of its state": func(path string) { rewrite(t, path+"o.dat", flip(1)) },
	} {
		t.Run(what, func(t *testing.T) {
			b, alarms := reopen(t, dir, listening(), func(dir string) { damage(filepath.Join(dir, eventsFolder, "obs/team") + "/") })
			require.Len(t, alarms.Of(bridge.AlarmDurableDamaged), 1)
			c, err := b.JS.Consumer(ctx, b.Names.EventsStream(), "team")
			require.NoError(t, err)
			require.Equal(t, readerConfig("team").FilterSubjects, c.CachedInfo().Config.FilterSubjects)
			require.Equal(t, jetstream.DeliverNewPolicy, c.CachedInfo().Config.DeliverPolicy)
			for _, name := range readers {
				requireWaiting(t, b, name)
			}
			b.Stop()
			_, alarms = reopen(t, b.Folder.Dir(), listening(), func(string) {})
			require.Empty(t, alarms.All(), "once and for all")
		})
	}
}

// A damaged description of the stream takes no message and no durable with it.
func TestDamagedStreamKeepsItsDurables(t *testing.T) {
	dir := halfHandled(t)
	for _, file := range []string{"meta.inf", "meta.sum", "msgs/index.db"} {
		for how, damage := range damages {
			t.Run(file+" "+how, func(t *testing.T) {
				b, alarms := reopen(t, dir, listening(), func(dir string) { damage(t, filepath.Join(dir, eventsFolder, file)) })
				require.Empty(t, alarms.Of(bridge.AlarmDurableDamaged))
				for _, name := range readers {
					// Before anybody makes it.
					c, err := b.JS.Consumer(context.Background(), b.Names.EventsStream(), name)
					require.NoError(t, err)
					require.Equal(t, uint64(before+handled), c.CachedInfo().AckFloor.Stream)
					require.Greater(t, requireWaiting(t, b, name), uint64(before+handled))
				}
			})
		}
	}
}

// Provisioning makes every stream anew whose description is damaged, around the
// messages that it has, and says so.
func TestDamagedStreamsKeepTheirMessages(t *testing.T) {
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
	require.Len(t, subjects, 9)
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
	b, alarms := reopen(t, halfHandled(t), listening(), func(dir string) {
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
	dir := halfHandled(t)
	for how, damage := range damages {
		t.Run(how, func(t *testing.T) {
			ctx := context.Background()
			b, _ := reopen(t, dir, listening(), func(dir string) { damage(t, filepath.Join(dir, eventsFolder, "msgs/1.blk")) })
			_, err := b.Publisher().Publish(ctx, streamtest.Event("pred_after"))
			require.NoError(t, err)
			for _, name := range readers {
				c, err := readerJS(t, b, name).CreateOrUpdateConsumer(ctx, b.Names.EventsStream(), readerConfig(name))
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

// By flipped bits a durable may have seen events that will come yet. What it has
// acknowledged counts as long as that can be.
func TestAbsurdPositionIsNoPosition(t *testing.T) {
	dir := halfHandled(t)
	const end, floor = before + handled + waiting, before + handled - 2
	for what, c := range map[string]struct {
		state []byte
		first uint64
	}{
		"all that there is and more": {state: stream.EncodeState(end + 8), first: before + 1},
		"it was given more":          {state: []byte{22, 2, 8, floor, 10, end + 8, 0, 0}, first: floor + 1},
		"acknowledged, not given":    {state: []byte{22, 2, 8, end - 5, 8, floor, 0, 0}, first: before + 1},
	} {
		for _, streamToo := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream too: %v", what, streamToo), func(t *testing.T) {
				b, alarms := reopen(t, dir, listening(), func(dir string) {
					for _, name := range readers {
						require.NoError(t, os.WriteFile(filepath.Join(dir, eventsFolder, "obs", name, "o.dat"), c.state, 0o600))
					}
					if streamToo {
						removeAll(t, filepath.Join(dir, eventsFolder, "meta.inf"))
					}
				})
				for _, name := range readers {
					require.Equal(t, c.first, requireWaiting(t, b, name))
				}
				require.Len(t, alarms.Of(bridge.AlarmDurableDamaged), len(readers))
			})
		}
	}
}

// What is known of a durable's position saves it repeats, unless it cannot be.
func TestDamagedDurableBeginsWhereItIsKnownToBe(t *testing.T) {
	dir := halfHandled(t)
	for known, first := range map[uint64]uint64{
		before + handled + 1:           before + handled + 1,
		before + handled + waiting + 2: before + 1, // beyond the end
		0:                              before + 1,
	} {
		cfg := listening()
		cfg.Position = func(st, durable string) (uint64, bool) {
			require.Equal(t, "HOOKSPAN_EVENTS", st)
			require.Contains(t, readers, durable)
			return known, known > 0
		}
		b, _ := reopen(t, dir, cfg, func(dir string) { removeAll(t, filepath.Join(dir, eventsFolder, "obs")) })
		for _, name := range readers {
			require.Equal(t, first, requireWaiting(t, b, name))
		}
	}
}

// A configuration that nobody knows any more is asked for; whoever makes the durable
// again, with whatever start, has the events that wait.
func TestDurableOfUnknownConfiguration(t *testing.T) {
	dir := halfHandled(t)
	for _, lost := range [][]string{{"meta.inf"}, {"meta.inf", "o.dat"}} {
		b, alarms := reopen(t, dir, listening(), func(dir string) {
			removeAll(t, filepath.Join(dir, "durables.json"))
			for _, name := range readers {
				for _, file := range lost {
					damages["zeroed"](t, filepath.Join(dir, eventsFolder, "obs", name, file))
				}
			}
		})
		require.Len(t, alarms.Of(bridge.AlarmDurableDamaged), len(readers))
		require.Contains(t, alarms.All()[0].Text, "make it again under its name")
		for _, name := range readers {
			requireWaiting(t, b, name)
		}
	}
}

// A durable that was removed stays so, and one that ends with its reader is nobody's
// loss.
func TestRemovedDurableIsNotMissed(t *testing.T) {
	ctx := context.Background()
	dir := halfHandled(t)
	b, _ := reopen(t, dir, listening(), func(string) {})
	require.NoError(t, b.JS.DeleteConsumer(ctx, b.Names.EventsStream(), "archive"))
	_, err := b.JS.CreateConsumer(ctx, b.Names.EventsStream(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	b.Stop()
	b, alarms := reopen(t, b.Folder.Dir(), listening(), func(string) {})
	require.Empty(t, alarms.Of(bridge.AlarmDurableDamaged))
	_, err = b.JS.Consumer(ctx, b.Names.EventsStream(), "archive")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)
}

// A process that dies after it has found the damage leaves it to the next one.
func TestRepairThatWasInterrupted(t *testing.T) {
	dir := halfHandled(t)
	for _, name := range readers {
		removeAll(t, filepath.Join(dir, eventsFolder, "obs", name))
	}
	folder, err := datafolder.Open(dir)
	require.NoError(t, err)
	require.NoError(t, stream.ExamineDurables(folder))
	removeAll(t, filepath.Join(dir, "durables.json")) // it is needed no more
	require.NoError(t, folder.Close())
	b, alarms := reopen(t, dir, listening(), func(string) {})
	require.Len(t, alarms.Of(bridge.AlarmDurableDamaged), len(readers))
	for _, name := range readers {
		require.Greater(t, requireWaiting(t, b, name), uint64(before))
	}
}

// What is damaged is kept, a bounded number of times.
func TestDamagedFilesAreSetAside(t *testing.T) {
	dir := halfHandled(t)
	garbage := []byte("garbage")
	folder, err := datafolder.Open(dir)
	require.NoError(t, err)
	for range stream.KeptDamaged + 3 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, eventsFolder, "obs/team/o.dat"), garbage, 0o600))
		require.NoError(t, stream.ExamineDurables(folder))
	}
	require.NoError(t, folder.Close())
	aside, err := filepath.Glob(filepath.Join(dir, "nats/damaged/*.HOOKSPAN_EVENTS.team/o.dat"))
	require.NoError(t, err)
	require.Len(t, aside, stream.KeptDamaged)
	text, err := os.ReadFile(aside[0])
	require.NoError(t, err)
	require.Equal(t, garbage, text)
	b, _ := reopen(t, dir, listening(), func(string) {})
	requireWaiting(t, b, "team")
}

// Nothing of a folder without damage is touched.
func TestHealthyDurablesAreLeftAlone(t *testing.T) {
	dir := halfHandled(t)
	folder, err := datafolder.Open(dir)
	require.NoError(t, err)
	old := snapshot(t, dir)
	require.NoError(t, stream.ExamineDurables(folder))
	require.Equal(t, old, snapshot(t, dir))
	require.NoError(t, folder.Close())
	b, alarms := reopen(t, dir, listening(), func(string) {})
	require.Empty(t, alarms.All())
	require.NoDirExists(t, filepath.Join(b.Folder.Dir(), "nats/damaged"))
	for _, name := range readers {
		require.Greater(t, requireWaiting(t, b, name), uint64(before+handled))
	}
}

// snapshot is every file below dir, with its content.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		out[path] = string(text)
		return err
	}))
	return out
}

// Every way in which a state can be cut is found, also those that the server takes for
// whole, and forgets by them which events are not acknowledged.
func TestCutStateIsFound(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(halfHandled(t), eventsFolder, "obs/team/o.dat"))
	require.NoError(t, err)
	require.NoError(t, stream.CheckState(text))
	for n := range text {
		require.Error(t, stream.CheckState(text[:n]), "cut to %d of %d bytes", n, len(text))
	}
	require.Error(t, stream.CheckState(append(slices.Clone(text), 0)))
	require.Error(t, stream.CheckState(bytes.Repeat([]byte{0}, len(text))))
	for _, next := range []uint64{1, 2, 1 << 40} {
		require.NoError(t, stream.CheckState(stream.EncodeState(next)))
	}
}
