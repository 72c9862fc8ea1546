package durablerepair_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream/durablerepair"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
)

// Whatever the damage to the files of a durable, its reader gets every event that it had not
// acknowledged.
func TestDamagedDurableSkipsNothing(t *testing.T) {
	t.Parallel()
	dir := halfHandled(t)
	for _, file := range []string{"o.dat", "meta.inf", "meta.sum"} {
		for how, damage := range damages {
			t.Run(file+" "+how, func(t *testing.T) {
				b, alarms := reopen(t, dir, streamtest.Listening(), func(dir string) {
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
			b, alarms := reopen(t, dir, streamtest.Listening(), func(dir string) {
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
	t.Parallel()
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
			b, alarms := reopen(t, dir, streamtest.Listening(), func(dir string) { damage(filepath.Join(dir, eventsFolder, "obs/team") + "/") })
			require.Len(t, alarms.Of(bridge.AlarmDurableDamaged), 1)
			c, err := b.JS.Consumer(ctx, b.Names.EventsStream(), "team")
			require.NoError(t, err)
			require.Equal(t, readerConfig("team").FilterSubjects, c.CachedInfo().Config.FilterSubjects)
			require.Equal(t, jetstream.DeliverNewPolicy, c.CachedInfo().Config.DeliverPolicy)
			for _, name := range readers {
				requireWaiting(t, b, name)
			}
			b.Stop()
			_, alarms = reopen(t, b.Folder.Dir(), streamtest.Listening(), func(string) {})
			require.Empty(t, alarms.All(), "once and for all")
		})
	}
}

// After flipped bits a durable may claim to have seen future events. Its acknowledgement floor
// counts if it is plausible.
func TestAbsurdPositionIsNoPosition(t *testing.T) {
	t.Parallel()
	dir := halfHandled(t)
	const end, floor = before + handled + waiting, before + handled - 2
	for what, c := range map[string]struct {
		state []byte
		first uint64
	}{
		"all that there is and more": {state: durablerepair.EncodeState(end + 8), first: before + 1},
		"it was given more":          {state: []byte{22, 2, 8, floor, 10, end + 8, 0, 0}, first: floor + 1},
		"acknowledged, not given":    {state: []byte{22, 2, 8, end - 5, 8, floor, 0, 0}, first: before + 1},
	} {
		for _, streamToo := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream too: %v", what, streamToo), func(t *testing.T) {
				b, alarms := reopen(t, dir, streamtest.Listening(), func(dir string) {
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

// A known position of a durable saves repeats, unless it is impossible.
func TestDamagedDurableBeginsWhereItIsKnownToBe(t *testing.T) {
	t.Parallel()
	dir := halfHandled(t)
	for known, first := range map[uint64]uint64{
		before + handled + 1:           before + handled + 1,
		before + handled + waiting + 2: before + 1, // beyond the end
		0:                              before + 1,
	} {
		cfg := streamtest.Listening()
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

// A lost configuration raises an alarm; a program that makes the durable again, with whatever
// start, gets the waiting events.
func TestDurableOfUnknownConfiguration(t *testing.T) {
	t.Parallel()
	dir := halfHandled(t)
	for _, lost := range [][]string{{"meta.inf"}, {"meta.inf", "o.dat"}} {
		b, alarms := reopen(t, dir, streamtest.Listening(), func(dir string) {
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

// A removed durable is not restored, and an ephemeral one is no loss.
func TestRemovedDurableIsNotMissed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := halfHandled(t)
	b, _ := reopen(t, dir, streamtest.Listening(), func(string) {})
	require.NoError(t, b.JS.DeleteConsumer(ctx, b.Names.EventsStream(), "archive"))
	_, err := b.JS.CreateConsumer(ctx, b.Names.EventsStream(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	b.Stop()
	b, alarms := reopen(t, b.Folder.Dir(), streamtest.Listening(), func(string) {})
	require.Empty(t, alarms.Of(bridge.AlarmDurableDamaged))
	_, err = b.JS.Consumer(ctx, b.Names.EventsStream(), "archive")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)
}

// A process that dies after finding the damage leaves it to the next one.
func TestRepairThatWasInterrupted(t *testing.T) {
	t.Parallel()
	dir := halfHandled(t)
	for _, name := range readers {
		removeAll(t, filepath.Join(dir, eventsFolder, "obs", name))
	}
	folder, err := datafolder.Open(dir)
	require.NoError(t, err)
	require.NoError(t, examine(folder))
	removeAll(t, filepath.Join(dir, "durables.json")) // not needed any more
	require.NoError(t, folder.Close())
	b, alarms := reopen(t, dir, streamtest.Listening(), func(string) {})
	require.Len(t, alarms.Of(bridge.AlarmDurableDamaged), len(readers))
	for _, name := range readers {
		require.Greater(t, requireWaiting(t, b, name), uint64(before))
	}
}
