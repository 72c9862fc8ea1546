package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var small = streams.Config{MaxBytes: 64 << 20}

// store puts messages into a stream.
func store(t *testing.T, s *natstest.Streams, subject string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		_, err := s.JS.Publish(t.Context(), subject, []byte(body))
		require.NoError(t, err)
	}
}

const event = "hookspan.events.get3w.prediction.completed.x"

// save makes a backup of a store in a new folder.
func save(t *testing.T, src Source) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "backup")
	to, err := NewFolder(dir)
	require.NoError(t, err)
	_, err = Write(t.Context(), src, to)
	return dir, err
}

func empty(t *testing.T) *natstest.External {
	t.Helper()
	x := natstest.NewExternal(t, nil)
	x.Start()
	return x
}

func restore(t *testing.T, js jetstream.JetStream, dir string) (*Backup, error) {
	t.Helper()
	b, err := Open(t.Context(), dir)
	if err != nil {
		return nil, err
	}
	to := NewTarget(js, small, func(string) {})
	if err := to.Check(t.Context()); err != nil {
		return b, err
	}
	if err := to.Restore(t.Context(), b); err != nil {
		return b, errors.Join(err, to.Undo(t.Context()))
	}
	return b, nil
}

// meanwhile is a sink that does something before a file begins: what happens while a bridge that
// runs is saved.
type meanwhile struct {
	Sink

	before map[string]func()
}

func (m meanwhile) Create(name string) (io.WriteCloser, error) {
	if do := m.before[name]; do != nil {
		do()
	}
	return m.Sink.Create(name)
}

// saveWhile is save with something that happens before a file is begun.
func saveWhile(t *testing.T, src Source, before map[string]func()) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "backup")
	to, err := NewFolder(dir)
	require.NoError(t, err)
	_, err = Write(t.Context(), src, meanwhile{to, before})
	return dir, err
}

func bodies(t *testing.T, js jetstream.JetStream, name string) (out []string) {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	require.NoError(t, err)
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		if m, err := s.GetMsg(t.Context(), seq); err == nil {
			out = append(out, string(m.Data))
		}
	}
	return out
}

// Whatever moves while a bridge is saved is in the backup: here each kind of move happens at the
// worst moment, which is between the snapshots of its two places.
func TestNothingThatMovesIsLost(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	ctx, n := t.Context(), s.Names
	store(t, s, event, "event to be given up", "event to wait")
	store(t, s, n.Dead("c", "get3w.x"), "dead letter to be redriven")
	store(t, s, strings.TrimSuffix(n.QuarantineSubjects()[0], ">")+"get3w.x", "quarantined to be accepted")
	store(t, s, strings.TrimSuffix(n.AllDue(), ">")+"c.x", "due")
	reader, err := s.JS.CreateConsumer(ctx, n.EventsStream(), jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	mover, err := s.JS.CreateConsumer(ctx, n.LaterStream(), jetstream.ConsumerConfig{Durable: "mover", FilterSubject: n.AllDue(), AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	handle := func() {
		m, err := reader.Next(jetstream.FetchMaxWait(time.Minute))
		require.NoError(t, err)
		require.NoError(t, m.DoubleAck(ctx))
	}
	remove := func(stream string, seq uint64) {
		of, err := s.JS.Stream(ctx, stream)
		require.NoError(t, err)
		require.NoError(t, of.DeleteMsg(ctx, seq))
	}
	var journal []string
	src := Source{JS: s.JS, Names: n, Running: true, Journal: func(_ context.Context, to io.Writer) (uint64, error) {
		_, err := io.WriteString(to, strings.Join(journal, ""))
		return uint64(len(journal)), err
	}}
	dir, err := saveWhile(t, src, map[string]func(){
		// Behind the snapshot of the quarantine a delivery is accepted, and waits in the journal.
		streamsPrefix + n.DeadStream() + streamConfig: func() {
			journal = append(journal, "accepted")
			remove(n.QuarantineStream(), 1)
		},
		// Behind the snapshot of the dead letters one is redriven, and what is due would be moved.
		journalAfterName: func() {
			store(t, s, "hookspan.again.c.get3w.x", "dead letter to be redriven")
			remove(n.DeadStream(), 1)
		},
		streamsPrefix + n.EventsStream() + streamConfig: func() {
			batch, err := mover.FetchNoWait(1)
			require.NoError(t, err)
			for range batch.Messages() {
				require.Fail(t, "the mover goes on")
			}
			require.NoError(t, batch.Error())
			store(t, s, n.Dead("c", "get3w.x"), "event to be given up")
			handle()
		},
	})
	require.NoError(t, err)
	info, err := mover.Info(ctx)
	require.NoError(t, err)
	require.False(t, info.Paused, "the mover goes on")

	x := empty(t)
	b, err := restore(t, x.JetStream(), dir)
	require.NoError(t, err)
	js := x.JetStream()
	require.Contains(t, bodies(t, js, n.DeadStream()), "event to be given up")
	require.Contains(t, bodies(t, js, n.EventsStream()), "dead letter to be redriven")
	require.Contains(t, bodies(t, js, n.LaterStream()), "due")
	require.Contains(t, bodies(t, js, n.QuarantineStream()), "quarantined to be accepted")
	after, err := b.text(journalAfterName)
	require.NoError(t, err)
	require.Equal(t, "accepted", string(after))
	restored, err := js.Consumer(ctx, n.LaterStream(), "mover")
	require.NoError(t, err)
	require.False(t, restored.CachedInfo().Paused)

	// What came in and was taken out again may be nowhere: better no backup.
	_, err = saveWhile(t, src, map[string]func(){
		streamsPrefix + n.EventsStream() + streamConfig: func() {
			store(t, s, n.Dead("c", "get3w.x"), "one", "two")
			remove(n.DeadStream(), 3)
		},
	})
	require.ErrorIs(t, err, errTail)
}

// A backup that is damaged in any way is refused before anything is changed.
func TestDamagedBackupIsRefused(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	store(t, s, event, "a", "b")
	dir, err := save(t, Source{JS: s.JS, Names: s.Names, Config: []byte("x: y\n"), Files: []FolderFile{{"consumers.json", []byte("{}")}}})
	require.NoError(t, err)
	b, err := Open(t.Context(), dir)
	require.NoError(t, err)
	require.EqualValues(t, 2, b.Events())
	x := empty(t)
	refused := func(why string) {
		t.Helper()
		_, err := restore(t, x.JetStream(), dir)
		require.ErrorContains(t, err, "cannot be restored", why)
		require.ErrorContains(t, err, "nothing was changed", why)
	}
	for _, name := range append([]string{sumsName}, fileNames(b)...) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		was, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotEmpty(t, was)
		require.NoError(t, os.Truncate(path, int64(len(was)/2)))
		refused(name + " cut")
		flipped := bytes.Clone(was)
		flipped[len(flipped)/2] ^= 1
		require.NoError(t, os.WriteFile(path, flipped, 0o600))
		refused(name + " flipped")
		require.NoError(t, os.Remove(path))
		refused(name + " missing")
		require.NoError(t, os.WriteFile(path, was, 0o600))
	}
	for _, name := range []string{"more.txt", "streams/HOOKSPAN_EVENTS/more", "..evil"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		refused(name)
		require.NoError(t, os.Remove(path))
	}
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, manifestName), bytes.Replace(text, []byte(`"format": 1`), []byte(`"format": 2`), 1), 0o600))
	_, err = Open(t.Context(), dir)
	require.ErrorContains(t, err, "use the newer Hookspan")
	require.NoError(t, os.WriteFile(filepath.Join(dir, manifestName), text, 0o600))
	_, err = Open(t.Context(), filepath.Join(dir, "none"))
	require.ErrorContains(t, err, "no backup")
	_, err = NewFolder(dir)
	require.ErrorContains(t, err, "nothing is overwritten")

	_, err = restore(t, x.JetStream(), dir)
	require.NoError(t, err)
	_, err = restore(t, x.JetStream(), dir)
	require.ErrorContains(t, err, "HOOKSPAN_EVENTS")
}

func fileNames(b *Backup) (names []string) {
	for _, f := range b.Files {
		names = append(names, f.Name)
	}
	return names
}

// A NATS that cannot take a backup says why, and nothing is left in it.
func TestTargetsThatCannotTakeIt(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	store(t, s, event, strings.Repeat("x", 2<<10))
	dir, err := save(t, Source{JS: s.JS, Names: s.Names})
	require.NoError(t, err)
	for why, change := range map[string]func(*server.Options){
		"no JetStream":    func(o *server.Options) { o.JetStream = false },
		"too little room": func(o *server.Options) { o.JetStreamMaxStore = 100 << 20 },
		"maximum payload": func(o *server.Options) { o.MaxPayload = 1 << 10 },
	} {
		x := natstest.NewExternal(t, change)
		x.Start()
		js := x.JetStream()
		_, err := restore(t, js, dir)
		require.ErrorContains(t, err, why)
		if why != "no JetStream" {
			for _, c := range small.All() {
				_, err := js.Stream(t.Context(), c.Name)
				require.ErrorIs(t, err, jetstream.ErrStreamNotFound, why)
			}
		}
	}
}

// What comes over a connection is a backup or nothing: cut off anywhere, or with anything in it.
func TestWire(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	store(t, s, event, "a")
	var body bytes.Buffer
	wire := NewWire(&body)
	_, err := Write(t.Context(), Source{JS: s.JS, Names: s.Names}, wire)
	require.NoError(t, err)
	require.NoError(t, wire.Close(nil))
	take := func(text []byte) error {
		dir := filepath.Join(t.TempDir(), "backup")
		to, err := NewFolder(dir)
		require.NoError(t, err)
		if err := ReadWire(wire.ContentType(), bytes.NewReader(text), to.Take); err != nil {
			require.NoError(t, to.Drop())
			require.NoDirExists(t, dir)
			return err
		}
		_, err = Open(t.Context(), dir)
		return err
	}
	whole := body.Bytes()
	require.NoError(t, take(whole))
	for i := range 40 {
		require.Error(t, take(whole[:i*len(whole)/41]))
	}
	changed := bytes.Clone(whole)
	changed[bytes.Index(changed, []byte("HOOKSPAN_DEAD"))+200] ^= 1
	require.Error(t, take(changed))
	for _, name := range []string{"../x", "/etc/passwd", "streams/../../x/backup.json", "folder/..", "folder/UP.json", strings.Repeat("a", 1000)} {
		var bad bytes.Buffer
		w := NewWire(&bad)
		_, err := w.Create(name)
		require.NoError(t, err)
		require.NoError(t, w.Close(nil))
		require.ErrorContains(t, ReadWire(w.ContentType(), &bad, func(string, io.Reader) error { return nil }), "no backup has")
	}
	var many bytes.Buffer
	w := NewWire(&many)
	for range maxFiles + 1 {
		_, err := w.Create(configName)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close(nil))
	require.ErrorContains(t, ReadWire(w.ContentType(), &many, func(string, io.Reader) error { return nil }), "more than")
	var failed bytes.Buffer
	w = NewWire(&failed)
	_, err = w.Create(configName)
	require.NoError(t, err)
	require.NoError(t, w.Close(errors.New("NATS is away")))
	require.ErrorContains(t, ReadWire(w.ContentType(), &failed, func(string, io.Reader) error { return nil }), "NATS is away")
	require.ErrorContains(t, ReadWire("text/html", &failed, nil), "no backup")
}

// A manifest and an archive from elsewhere make no stream that is not ours.
func TestHostileStream(t *testing.T) {
	t.Parallel()
	x := empty(t)
	to := NewTarget(x.JetStream(), small, func(string) {})
	for _, name := range []string{"OTHER", "HOOKSPAN_EVENTS"} {
		config, err := json.Marshal(streamFile{Config: json.RawMessage(`{"name":"OTHER","subjects":[">"],"storage":"file","retention":"limits","discard":"old"}`)})
		require.NoError(t, err)
		require.Error(t, to.Stream(t.Context(), name, config, strings.NewReader("")))
	}
	made, err := to.configOf(server.StreamConfig{Name: "HOOKSPAN_EVENTS", Subjects: []string{">"}, RePublish: &server.RePublish{Destination: "x.>"}})
	require.NoError(t, err)
	require.Nil(t, made.RePublish)
	require.Equal(t, small.Names.EventsSubjects(), made.Subjects)
	require.Error(t, to.Stream(t.Context(), "HOOKSPAN_DEAD", []byte(`{"config":{"name":"HOOKSPAN_DEAD","storage":"file","retention":"limits","discard":"new"},"state":{}}`), strings.NewReader("rubbish")))
	require.NoError(t, to.Undo(t.Context()))
}

// unpausing is a JetStream whose durables can be paused once, and whose waiting events cannot be
// saved before the second pause has failed.
type unpausing struct {
	jetstream.JetStream

	later  string
	failed chan struct{}
	pauses atomic.Int32
}

func (u *unpausing) PauseConsumer(ctx context.Context, stream, name string, until time.Time) (*jetstream.ConsumerPauseResponse, error) {
	switch u.pauses.Add(1) {
	case 1:
		return u.JetStream.PauseConsumer(ctx, stream, name, until)
	case 2:
		close(u.failed)
	}
	return nil, errors.New("not now")
}

func (u *unpausing) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if name == u.later && u.pauses.Load() > 0 {
		<-u.failed
	}
	return u.JetStream.Stream(ctx, name)
}

// When the mover may have gone on meanwhile, something may be in neither stream: that is no backup.
func TestMoverThatDidNotStayPaused(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	_, err := s.JS.CreateConsumer(t.Context(), s.Names.LaterStream(), jetstream.ConsumerConfig{Durable: "mover", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	js := &unpausing{JetStream: s.JS, later: s.Names.LaterStream(), failed: make(chan struct{})}
	dir, err := save(t, Source{JS: js, Names: s.Names})
	require.ErrorContains(t, err, "did not stay paused")
	_, err = Open(t.Context(), dir)
	require.ErrorContains(t, err, "cut off")
}

// An archive that ends in the middle of its messages is an error, and leaves nothing behind that
// goes on.
func TestRewriteOfACutOffArchive(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	store(t, s, event, strings.Repeat("0123456789", 1000), "two")
	dir, err := save(t, Source{JS: s.JS, Names: s.Names})
	require.NoError(t, err)
	packed, err := os.ReadFile(filepath.Join(dir, streamsPrefix+s.Names.EventsStream()+streamArchive))
	require.NoError(t, err)
	whole, err := io.ReadAll(s2.NewReader(bytes.NewReader(packed)))
	require.NoError(t, err)
	var cut bytes.Buffer
	w := s2.NewWriter(&cut)
	_, err = w.Write(whole[:len(whole)-200])
	require.NoError(t, errors.Join(err, w.Close()))
	_, err = rewrite(io.Discard, &cut, edit{})
	require.Error(t, err)
}
