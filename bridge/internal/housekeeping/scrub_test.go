package housekeeping

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

func scrub(t *testing.T, b *streamtest.Bench, memory Memory, alarms bridge.Alarmer) *Scrub {
	t.Helper()
	checkpoint, err := OpenCheckpoint(memory, "test")
	require.NoError(t, err)
	return NewScrub(b.JS, checkpoint, ScrubConfig{
		Streams: []string{events}, Kept: []string{events}, BytesPerSecond: 1 << 30, Alarms: alarms, Logger: zap.NewNop(),
	})
}

// One pass finds damage of each kind in a block that is not the newest, while the server runs
// and after a restart.
func TestScrubFindsDamage(t *testing.T) {
	t.Parallel()
	// A message in the file: length 4, sequence 8, time 8, subject length 2, subject, header
	// and its length, body, checksum 8.
	const header = 22
	for name, harm := range map[string]func(t *testing.T, f *os.File, subject int64, size int64){
		"a byte of the body":              func(t *testing.T, f *os.File, at, _ int64) { flip(t, f, at+5000) },
		"a byte of the subject":           func(t *testing.T, f *os.File, at, _ int64) { flip(t, f, at+3) },
		"a byte of the sequence":          func(t *testing.T, f *os.File, at, _ int64) { flip(t, f, at-header+4) },
		"a byte of the time":              func(t *testing.T, f *os.File, at, _ int64) { flip(t, f, at-header+13) },
		"a byte of the length":            func(t *testing.T, f *os.File, at, _ int64) { flip(t, f, at-header) },
		"a byte of the header len":        func(t *testing.T, f *os.File, at, _ int64) { flip(t, f, at+int64(len(completed))) },
		"a second byte of the header len": func(t *testing.T, f *os.File, at, _ int64) { flip(t, f, at+int64(len(completed))+1) },
		"a byte of the subject len":       func(t *testing.T, f *os.File, at, _ int64) { flip(t, f, at-2) },
		"a byte of the checksum":          func(t *testing.T, f *os.File, at, _ int64) { flip(t, f, at-header-3) },
		"a truncated file":                func(t *testing.T, f *os.File, at, _ int64) { require.NoError(t, f.Truncate(at+100)) },
		"an empty file":                   func(t *testing.T, f *os.File, _, _ int64) { require.NoError(t, f.Truncate(0)) },
		"zeroes at its end": func(t *testing.T, f *os.File, at, size int64) {
			_, err := f.WriteAt(make([]byte, size-at), at)
			require.NoError(t, err)
		},
		"a page of zeroes": func(t *testing.T, f *os.File, at, _ int64) {
			_, err := f.WriteAt(make([]byte, 4096), (at+4096)&^4095)
			require.NoError(t, err)
		},
		"a file that is gone": func(t *testing.T, f *os.File, _, _ int64) { require.NoError(t, os.Remove(f.Name())) },
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %v", name, restarted), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				b := small(t, dir, 16<<20)
				put(t, b, 1000, completed) // two blocks of 4 MiB, and a piece
				audit, memory := &natstest.Alarms{}, &paper{}
				auditor(t, b, memory, audit).Audit(context.Background())
				block := filepath.Join(storePath(dir), "msgs", "2.blk")
				data, err := os.ReadFile(block)
				require.NoError(t, err)
				subject := len(data)/2 + bytes.Index(data[len(data)/2:], []byte(completed))
				if restarted {
					b.Stop()
				}
				f, err := os.OpenFile(block, os.O_RDWR, 0)
				require.NoError(t, err)
				harm(t, f, int64(subject), int64(len(data)))
				require.NoError(t, f.Close())
				if restarted {
					b = small(t, dir, 16<<20)
				}
				alarms := &natstest.Alarms{}
				require.NoError(t, scrub(t, b, &paper{}, alarms).Pass(context.Background(), events))
				found := alarms.Take()
				lost, read := uint64(0), uint64(0)
				for _, a := range found {
					lost += a.Details["count"].(uint64)
				}
				st := streamOf(t, b, events)
				for seq := uint64(1); seq <= 1000; seq++ {
					if m, err := st.GetMsg(context.Background(), seq); err == nil && m.Subject == completed {
						read++
					}
				}
				require.NotEmpty(t, found)
				t.Logf("%d alarms, %d of 1000 lost: %s", len(found), lost, found[0].Text)
				require.Equal(t, uint64(1000), read+lost, "each that cannot be read is named, and no other")
				require.NotNil(t, found[0].Details["before"])
				auditor(t, b, memory, audit).Audit(context.Background())
				t.Logf("the auditor: %v", natstest.KindsOf(audit.Take()))
			})
		}
	}
}

func flip(t *testing.T, f *os.File, at int64) {
	t.Helper()
	one := make([]byte, 1)
	_, err := f.ReadAt(one, at)
	require.NoError(t, err)
	one[0] ^= 4
	_, err = f.WriteAt(one, at)
	require.NoError(t, err)
}

// Each of the first places raises an alarm, and all others together raise one.
func TestScrubNamesAFewPlaces(t *testing.T) {
	t.Parallel()
	b := small(t, t.TempDir(), limit)
	put(t, b, 100, completed)
	for seq := uint64(2); seq <= 60; seq += 2 {
		require.NoError(t, streamOf(t, b, events).DeleteMsg(context.Background(), seq))
	}
	alarms := &natstest.Alarms{}
	s := scrub(t, b, &paper{}, alarms)
	require.NoError(t, s.Pass(context.Background(), events))
	got := alarms.Take()
	require.Len(t, got, namedGaps+1)
	require.Equal(t, bridge.AlarmStoreMissing, got[0].Kind)
	require.EqualValues(t, 30-namedGaps, got[namedGaps].Details["count"])

	// In a stream from which single messages may be removed, these are no loss.
	s.cfg.Kept = nil
	require.NoError(t, s.Pass(context.Background(), events))
	require.Empty(t, alarms.Take())
}

// A healthy stream raises nothing, even while its oldest messages leave; an interrupted pass
// goes on where it was.
func TestScrubOfAHealthyStream(t *testing.T) {
	t.Parallel()
	b := small(t, t.TempDir(), limit)
	alarms, memory := &natstest.Alarms{}, &paper{}
	s := scrub(t, b, memory, alarms)
	require.NoError(t, s.Pass(context.Background(), events), "empty")
	put(t, b, 50, completed)
	require.NoError(t, s.Pass(context.Background(), events))
	require.NoError(t, streamOf(t, b, events).Purge(context.Background()))
	require.NoError(t, s.Pass(context.Background(), events))
	for _, h := range natstest.StatusHeaders() { // to nats.go they are no messages
		_, err := b.JS.PublishMsg(t.Context(), &nats.Msg{Subject: completed, Header: h})
		require.NoError(t, err)
	}
	require.NoError(t, s.Pass(context.Background(), events))
	put(t, b, 50-len(natstest.StatusHeaders()), completed)
	s.checkpoint.change(func(p *content) { p.Scrub[events] = 91 })
	require.NoError(t, s.checkpoint.Save())
	s = scrub(t, b, memory, alarms)
	require.EqualValues(t, 91, s.checkpoint.scrubbed(events))
	require.NoError(t, s.Pass(context.Background(), events))
	require.Zero(t, s.checkpoint.scrubbed(events), "the next one begins at the beginning")
	require.Empty(t, alarms.Take())
}

// What one replica lacks is no damage while that replica may be behind the others.
func TestScrubIsSureOfAGapInAReplicatedStream(t *testing.T) {
	t.Parallel()
	info := &jetstream.StreamInfo{}
	p := &pass{Scrub: &Scrub{unsure: map[string]gap{}}, name: events}
	require.NoError(t, p.confirm(5, info), "one copy is all there is")
	peer := &jetstream.PeerInfo{Name: "b", Current: true}
	info.Cluster = &jetstream.ClusterInfo{Leader: "a", Replicas: []*jetstream.PeerInfo{peer}}
	require.ErrorIs(t, p.confirm(5, info), errUnsure)
	p.unsure[events] = gap{5, time.Now().Add(-lagTime)}
	peer.Current = false
	require.ErrorIs(t, p.confirm(5, info), errUnsure)
	peer.Current = true
	require.NoError(t, p.confirm(5, info))
	require.ErrorIs(t, p.confirm(9, info), errUnsure, "another gap")
}
