package redelivery_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/natstest"
)

// Arguments of worker processes.
const (
	killEvents      = 4_000
	kills           = 20
	killConcurrency = 8
	// workerLease is longer than a busy machine delays a worker: after a lost lease an attempt
	// is marked as a repeat too.
	workerLease = 5 * time.Second
	// workerArgument makes this program a worker process.
	workerArgument = "consumers-test-worker"
)

// worker runs consumer team as user app, and writes one line for each attempt to a file of its
// own, until it is told to stop or is killed.
func worker(url, password, path string, once bool) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	nc, err := nats.Connect(url, nats.UserInfo(stream.AppUser, password))
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	c, err := consumers.New(js, consumers.HandlerFunc(func(ctx context.Context, ev *bridge.Event) error {
		_, err := fmt.Fprintln(file, ev.PredictionID, consumers.AttemptOf(ctx).Repeat)
		return err
	}), consumers.Config{Name: "team", Start: consumers.Start{All: true}, Concurrency: killConcurrency, Once: once, Lease: workerLease})
	if err != nil {
		return err
	}
	return c.Run(context.Background())
}

func workerMain(args []string) int {
	if err := worker(args[0], args[1], args[2], args[3] == "true"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A process that is killed again and again loses no event. Where the consumer acts once, only
// attempts that were running are repeated, and marked as repeats; finished ones are never run
// again.
func TestKilledWorker(t *testing.T) {
	for _, once := range []bool{false, true} {
		t.Run(fmt.Sprintf("once=%v", once), func(t *testing.T) {
			cfg := streamtest.Config()
			cfg.Listen = "127.0.0.1:0"
			b := streamtest.Start(t, cfg)
			password, err := datafolder.ReadSecret(b.Folder.Dir(), stream.AppUser)
			require.NoError(t, err)
			publishMany(t, b, killEvents)

			dir := t.TempDir()
			pending := func() int {
				c, err := b.JS.Consumer(context.Background(), "HOOKSPAN_EVENTS", "team")
				if errors.Is(err, jetstream.ErrConsumerNotFound) {
					return killEvents
				}
				require.NoError(t, err)
				return int(c.CachedInfo().NumPending) + c.CachedInfo().NumAckPending
			}
			start := func(n int) *exec.Cmd {
				cmd := exec.Command(os.Args[0], workerArgument, b.Server.URL(), password, filepath.Join(dir, fmt.Sprint(n)), fmt.Sprint(once))
				cmd.Stderr = os.Stderr
				require.NoError(t, cmd.Start())
				t.Cleanup(func() { _ = cmd.Process.Kill() })
				return cmd
			}
			killed := 0
			for n := range kills {
				cmd := start(n)
				// It is killed after its share of the events, wherever it is then.
				goal := killEvents * (kills - n) / (kills + 1)
				require.Eventually(t, func() bool { return pending() <= goal }, 3*userPatience, time.Millisecond)
				require.NoError(t, cmd.Process.Kill())
				_ = cmd.Wait()
				killed++
			}
			last := start(kills)
			require.Eventually(t, func() bool { return pending() == 0 }, 3*userPatience, 20*time.Millisecond)

			attempts := readAttempts(t, dir)
			repeats, marked := attempts.count()
			t.Logf("%d kills, %d events, %d attempts more than that, %d marked as a repeat", killed, len(attempts), repeats, marked)
			require.Len(t, attempts, killEvents, "every event was handled")
			if once {
				// An attempt that was killed before it could record its start is marked too.
				require.LessOrEqual(t, marked, killed*killConcurrency)
				for id, repeat := range attempts {
					require.False(t, repeat.times > 1 && repeat.marked < repeat.times-1, "%s: whoever acts again is told", id)
				}

				// All of them again: every event is finished.
				st, err := b.JS.Stream(context.Background(), "HOOKSPAN_EVENTS")
				require.NoError(t, err)
				_, err = st.ResetConsumerToSequence(context.Background(), "team", 1)
				require.NoError(t, err)
				require.Eventually(t, func() bool { return pending() == 0 }, 3*userPatience, 20*time.Millisecond)
				require.Equal(t, attempts, readAttempts(t, dir))
			}
			require.NoError(t, last.Process.Kill())
			_ = last.Wait()
			require.Zero(t, b.Messages(t, "HOOKSPAN_DEAD"))
		})
	}
}

func publishMany(t *testing.T, b *streamtest.Bench, n int) {
	t.Helper()
	pub := b.Publisher()
	var publishing sync.WaitGroup
	next := make(chan int)
	for range 256 {
		publishing.Go(func() {
			for i := range next {
				if _, err := pub.Publish(context.Background(), natstest.Event(fmt.Sprint("pred_", i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	publishing.Wait()
}

// attempted is what workers wrote about one event.
type attempted struct{ times, marked int }

type attemptsByEvent map[string]attempted

// count returns the number of attempts beyond the first of each event, and how many were marked
// as repeats.
func (a attemptsByEvent) count() (repeats, marked int) {
	for _, one := range a {
		repeats += one.times - 1
		marked += one.marked
	}
	return repeats, marked
}

func readAttempts(t *testing.T, dir string) attemptsByEvent {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	out := attemptsByEvent{}
	for _, path := range files {
		file, err := os.Open(path)
		require.NoError(t, err)
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			id, repeat, ok := strings.Cut(lines.Text(), " ")
			require.True(t, ok)
			one := out[id]
			one.times++
			if repeat == "true" {
				one.marked++
			}
			out[id] = one
		}
		require.NoError(t, lines.Err())
		require.NoError(t, file.Close())
	}
	return out
}
