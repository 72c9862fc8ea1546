package exec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/natstest"
)

// deployment is a runner behind a real consumer of a real server.
type deployment struct {
	*bundle
	bench *natstest.Streams
	wire  chan string // what the server is told of each event
	stop  func() error
}

func deploy(b *bundle, cfg consumers.Config) *deployment {
	b.t.Helper()
	d := &deployment{bundle: b, bench: natstest.Start(b.t), wire: make(chan string, 100)}
	_, err := d.bench.NC.Subscribe("$JS.ACK.HOOKSPAN_EVENTS.team.>", func(m *nats.Msg) { d.wire <- string(m.Data) })
	require.NoError(b.t, err)
	cfg.Name, cfg.Start, cfg.Retry.First = "team", consumers.Start{All: true}, time.Millisecond
	c, err := consumers.New(d.bench.JS, b.Runner, cfg)
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	d.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	b.t.Cleanup(func() { _ = d.stop() })
	return d
}

func (d *deployment) publish(id string) {
	d.t.Helper()
	_, err := d.bench.Publish(context.Background(), natstest.Event(id))
	require.NoError(d.t, err)
}

func (d *deployment) deadLetter() *bridge.DeadLetter {
	d.t.Helper()
	stream, err := d.bench.JS.Stream(context.Background(), d.bench.Names.DeadStream())
	require.NoError(d.t, err)
	m, err := stream.GetLastMsgForSubject(context.Background(), d.bench.Names.AllDead("team"))
	require.NoError(d.t, err)
	dead, err := bridge.DecodeDeadLetter(bridge.Header(m.Header))
	require.NoError(d.t, err)
	return dead
}

func TestDoneIsAcknowledged(t *testing.T) {
	t.Parallel()
	d := deploy(setup(t, environ), consumers.Config{})
	d.publish("pred_1")
	require.Equal(t, "+ACK", next(t, d.wire))
	environ := d.read("environ")
	for _, want := range []string{
		"HOOKSPAN_CONSUMER=team\x00", "HOOKSPAN_ATTEMPT=1\x00", "HOOKSPAN_REPEAT=false\x00",
		"HOOKSPAN_SUBJECT=hookspan.events.get3w.prediction.completed.get3w.flux-dev\x00",
		"HOOKSPAN_IDEMPOTENCY_KEY=team:get3w:" + natstest.Event("pred_1").ID + "\x00",
	} {
		require.Contains(t, environ, want)
	}
}

func TestDataErrorIsADeadLetterWithTheOutput(t *testing.T) {
	t.Parallel()
	d := deploy(setup(t, `echo the beginning; head -c 104857600 /dev/zero | tr '\0' x; echo; echo the end; exit 65`), consumers.Config{})
	d.publish("pred_1")
	require.Equal(t, "+TERM permanent", next(t, d.wire))
	dead := d.deadLetter()
	require.Equal(t, bridge.DeadPermanent, dead.Cause)
	require.Equal(t, `the command cannot use this event: exit status 65: "the end"`, dead.Error)
	require.Len(t, dead.History, 1)
	require.Regexp(t, `^the beginning\nx+\n\[\d+ bytes left out\]\nx+\nthe end\n$`, dead.History[0].Note)
}

func TestOtherStatusComesAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"75", "1"} {
		d := deploy(setup(t, `echo "$HOOKSPAN_ATTEMPT" >>"$OUT/attempts"; [ "$HOOKSPAN_ATTEMPT" = 3 ] || exit `+status), consumers.Config{})
		d.publish("pred_1")
		require.Regexp(t, `^-NAK \{`, next(t, d.wire))
		require.Regexp(t, `^-NAK \{`, next(t, d.wire))
		require.Equal(t, "+ACK", next(t, d.wire))
		require.Equal(t, "1\n2\n3\n", d.read("attempts"))
	}
}

func TestTimeoutComesAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, `[ "$HOOKSPAN_ATTEMPT" = 2 ] || sleep 60`)
	d := deploy(b, consumers.Config{Timeout: 200 * time.Millisecond})
	d.publish("pred_1")
	require.Regexp(t, `^-NAK \{`, next(t, d.wire))
	for verdict := ""; verdict != "+ACK"; verdict = next(t, d.wire) { // a slow machine may need more attempts
	}
	require.Empty(t, entries(t, b.dir))
}

func TestStopGivesTheEventBack(t *testing.T) {
	t.Parallel()
	b := setup(t, tree+"wait; sleep 60")
	b.killAfter = 10 * time.Millisecond
	l := b.life()
	d := deploy(b, consumers.Config{Grace: time.Millisecond})
	d.publish("pred_1")
	l.begun()
	require.NoError(t, d.stop())
	require.Equal(t, "-NAK", next(t, d.wire))
	l.over()
	require.Empty(t, entries(t, b.dir))
}

// During a deploy of the command nothing is tried, and nothing is lost.
func TestMissingCommandIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(path string) error{
		"missing":        func(string) error { return nil },
		"not executable": func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a folder":       func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		began := time.Now()
		path := filepath.Join(t.TempDir(), "command")
		require.NoError(t, prepare(path))
		b := setupCommand(t, path)
		b.gate.every = time.Millisecond
		d := deploy(b, consumers.Config{Concurrency: 4})
		d.publish("pred_1")
		require.Eventually(t, func() bool { return len(b.heard.All()) > 0 }, patience, time.Millisecond)
		durable, err := d.bench.JS.Consumer(context.Background(), "HOOKSPAN_EVENTS", "team")
		if !errors.Is(err, jetstream.ErrConsumerNotFound) {
			require.NoError(t, err)
			require.Zero(t, durable.CachedInfo().Delivered.Consumer, name)
		}
		since, why := b.Blocked()
		require.WithinRange(t, since, began, time.Now(), name)
		require.Contains(t, why, path, name)
		install(t, path, "#!/bin/sh\nexit 0\n")
		require.Equal(t, "+ACK", next(t, d.wire), name)
		require.Eventually(t, func() bool { since, _ := b.Blocked(); return since.IsZero() }, patience, time.Millisecond, "the command is there")
		require.Eventually(t, func() bool { return b.heard.Cleared(bridge.AlarmCommand) }, patience, time.Millisecond)
		require.NoError(t, d.stop())
		require.Len(t, b.heard.All(), 2, "one alarm, not one for each look, and its end")
		require.Contains(t, b.heard.All()[0].Text, "install it, the events wait for it")
	}
}

// A file that looks like a command and cannot be started costs no attempt, and other events
// wait.
func TestCommandThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "command")
	install(t, path, "#!/no/such/interpreter\n")
	b := setupCommand(t, path)
	d := deploy(b, consumers.Config{})
	d.publish("pred_1")
	d.publish("pred_2")
	require.Regexp(t, `^-NAK \{"delay": ?10000000000\}$`, next(t, d.wire))
	require.Eventually(t, func() bool { return len(b.heard.All()) > 0 }, patience, time.Millisecond)
	require.Contains(t, b.heard.All()[0].Text, "see to it, the events wait for it")
	require.Positive(t, b.gate.closedFor())
	since, why := b.Blocked()
	require.NotZero(t, since)
	require.Contains(t, why, "see to it")
	require.NoError(t, d.stop())
	require.Empty(t, d.wire, "the second one was not tried")
	require.Empty(t, entries(t, b.dir))
}

// install puts a program at the path, whole at once.
func install(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(path))
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o700))
	require.NoError(t, os.Rename(path+".new", path))
}
