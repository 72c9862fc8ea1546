package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/natstest"
)

// saved is a configuration whose program acknowledges nothing by itself.
const saved = `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
consumers: {archive: {enabled: false}, reader: {kind: pull}, handle: {kind: exec, command: [/bin/true]}}
`

// content is what a stream has, with the positions of its durables.
type content struct {
	Messages []string
	Durables map[string][3]uint64
}

// look reads streams as they are: sequences, times, headers and bodies.
func look(t *testing.T, js jetstream.JetStream, names ...string) map[string]content {
	t.Helper()
	out := map[string]content{}
	for _, name := range names {
		s, err := js.Stream(t.Context(), name)
		require.NoError(t, err)
		k := content{Durables: map[string][3]uint64{}}
		state := s.CachedInfo().State
		for seq := state.FirstSeq; seq <= state.LastSeq; seq++ {
			m, err := s.GetMsg(t.Context(), seq)
			if err == nil {
				k.Messages = append(k.Messages, fmt.Sprint(m.Sequence, m.Time, m.Subject, m.Header, string(m.Data)))
			}
		}
		list := s.ListConsumers(t.Context())
		for info := range list.Info() {
			if info.Config.Durable != "" {
				k.Durables[info.Name] = [3]uint64{info.Delivered.Stream, info.AckFloor.Stream, uint64(info.NumAckPending)} //nolint:gosec // a count
			}
		}
		require.NoError(t, list.Err())
		out[name] = k
	}
	return out
}

var savedNames = func() []string {
	n := bridge.Names{Prefix: "hookspan"}
	return []string{n.EventsStream(), n.DeadStream(), n.QuarantineStream(), n.LaterStream(), n.AttemptsStream(), n.ErasedStream()}
}()

// fill gives a bridge some of everything, and returns how many events.
func fill(t *testing.T, a *App) {
	t.Helper()
	for i := range 20 {
		require.True(t, accepts(t, a, fmt.Sprintf("pred_%d", i)))
	}
	js, n := a.store.consume, a.cfg.Names()
	require.Eventually(t, func() bool {
		c, err := js.Consumer(t.Context(), n.EventsStream(), "handle")
		return err == nil && c.CachedInfo().AckFloor.Stream >= 20
	}, time.Minute, 10*time.Millisecond)
	reader, err := js.Consumer(t.Context(), n.EventsStream(), "reader")
	require.NoError(t, err)
	batch, err := reader.Fetch(5)
	require.NoError(t, err)
	for m := range batch.Messages() {
		require.NoError(t, m.DoubleAck(t.Context()))
	}
	for i := range 3 {
		_, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: n.Dead("handle", "get3w.x"), Data: []byte("dead"), Header: nats.Header{"Nats-Msg-Id": {fmt.Sprint("dead:", i)}}})
		require.NoError(t, err)
	}
	require.NoError(t, deleteMessage(t.Context(), js, n.DeadStream(), 2))
	_, err = js.PublishMsg(t.Context(), &nats.Msg{Subject: strings.TrimSuffix(n.LaterSubjects()[0], ">") + "reader.x.1", Header: nats.Header{
		"Nats-Schedule": {"@at " + time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}, "Nats-Schedule-Target": {strings.TrimSuffix(n.AllDue(), ">") + "reader.x"},
	}, Data: []byte("later")})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), n.AttemptsSubject("claim"), []byte("done"))
	require.NoError(t, err)
}

func deleteMessage(ctx context.Context, js jetstream.JetStream, name string, seq uint64) error {
	s, err := js.Stream(ctx, name)
	if err != nil {
		return err
	}
	return s.DeleteMsg(ctx, seq)
}

// saveRunning asks a bridge that runs.
func saveRunning(t *testing.T, a *App, dir string) BackupReport {
	t.Helper()
	report, err := takeRunning(a, dir)
	require.NoError(t, err)
	return report
}

func takeRunning(a *App, dir string) (report BackupReport, err error) {
	res, err := http.Post("http://"+a.operators.Addr().String()+"/api/v1/backup", "application/json", strings.NewReader("{}"))
	if err != nil {
		return report, err
	}
	if res.StatusCode == http.StatusOK {
		report, err = TakeBackup(res, dir, func(int64) {})
	} else {
		err = errors.New(res.Status)
	}
	err = errors.Join(err, res.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	return report, err
}

func restoreInto(t *testing.T, text, dir, from string) error {
	t.Helper()
	file := configFile(t, "data_dir: "+dir+"\n"+text)
	cfg, err := config.Load(file)
	require.NoError(t, err)
	var log bytes.Buffer
	_, err = Restore(t.Context(), cfg, Options{File: file, Log: &log, Getenv: func(string) (string, bool) { return sampleSecret, true }}, from, func(string, int) {})
	return err
}

// raisedSince are the kinds of alarms that a bridge has raised.
func raisedSince(t *testing.T, js jetstream.JetStream, since uint64) (kinds []string) {
	t.Helper()
	s, err := js.Stream(t.Context(), "HOOKSPAN_ALARMS")
	require.NoError(t, err)
	for seq := since + 1; seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		kinds = append(kinds, m.Subject)
	}
	return kinds
}

// A bridge that runs is saved, wiped and restored: everything is as it was, what was handled is
// not handled again, and nothing is reported as lost. Then the same into an external NATS, from
// a bridge that does not run, and back into an embedded one.
func TestBackupComesBack(t *testing.T) {
	t.Parallel()
	dir, backups := t.TempDir(), t.TempDir()
	a, err := newTestApp(t, dir, saved)
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	fill(t, a)
	was := look(t, a.store.consume, savedNames...)
	report := saveRunning(t, a, filepath.Join(backups, "one"))
	require.EqualValues(t, 20, report.Events())
	require.Equal(t, was, look(t, a.store.consume, savedNames...), "a backup changes nothing")
	require.NoError(t, a.Stop())

	again := t.TempDir()
	require.NoError(t, restoreInto(t, saved, again, filepath.Join(backups, "one")))
	require.ErrorContains(t, restoreInto(t, saved, again, filepath.Join(backups, "one")), "nothing is overwritten")
	b, err := newTestApp(t, again, saved)
	require.NoError(t, err)
	require.NoError(t, b.Start(t.Context()))
	require.Equal(t, was, look(t, b.store.consume, savedNames...))
	require.Equal(t, was, look(t, b.store.consume, savedNames...), "the restored bridge has handled nothing twice")
	require.ErrorIs(t, restoreInto(t, saved, again, filepath.Join(backups, "one")), ErrFolderInUse)
	require.True(t, accepts(t, b, "pred_new"))
	require.NoError(t, b.Stop()) // the auditor looks a last time
	b, err = newTestApp(t, again, saved)
	require.NoError(t, err)
	require.NoError(t, b.Start(t.Context()))
	for _, kind := range raisedSince(t, b.store.consume, lastOf(report, "HOOKSPAN_ALARMS")) {
		require.Equal(t, "hookspan.alarms."+bridge.AlarmDeadLetters, kind, "the only news is the dead letters")
	}
	require.NoError(t, b.Stop())

	x := natstest.NewExternal(t, nil)
	x.Start()
	outside := strings.Replace(saved, `nats: {listen: "127.0.0.1:0"`, `nats: {url: "`+x.URL()+`"`, 1)
	file := configFile(t, "data_dir: "+again+"\n"+saved)
	cfg, err := config.Load(file)
	require.NoError(t, err)
	report, err = Backup(t.Context(), cfg, Options{File: file, Log: &bytes.Buffer{}}, filepath.Join(backups, "two"), func(int64) {})
	require.NoError(t, err)
	require.EqualValues(t, 21, report.Events())
	third := t.TempDir()
	require.NoError(t, restoreInto(t, outside, third, filepath.Join(backups, "two")))
	require.ErrorContains(t, restoreInto(t, outside, t.TempDir(), filepath.Join(backups, "two")), "it has HOOKSPAN_EVENTS")
	now := look(t, x.JetStream(), savedNames...)
	require.Len(t, now["HOOKSPAN_EVENTS"].Messages, 21)
	require.Equal(t, was["HOOKSPAN_DEAD"], now["HOOKSPAN_DEAD"])

	require.ErrorContains(t, restoreInto(t, strings.Replace(saved, "nats: {", "nats: {prefix: other, ", 1), t.TempDir(), filepath.Join(backups, "two")), "nats.prefix: hookspan")
	x.Stop()
	text, err := os.ReadFile(filepath.Join(backups, "two", "config.yaml"))
	require.NoError(t, err)
	require.NotContains(t, string(text), sampleSecret)
}

func lastOf(r BackupReport, name string) uint64 {
	s, _ := r.Stream(name)
	return s.Last
}

// A restore that was cut off keeps the bridge from starting, and the next one begins anew.
func TestRestoreThatWasCutOff(t *testing.T) {
	t.Parallel()
	dir, to, at := t.TempDir(), filepath.Join(t.TempDir(), "backup"), t.TempDir()
	a, err := newTestApp(t, dir, saved)
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	require.True(t, accepts(t, a, "pred_1"))
	saveRunning(t, a, to)
	require.NoError(t, a.Stop())
	require.NoError(t, restoreInto(t, saved, at, to))
	require.NoError(t, os.WriteFile(filepath.Join(at, restoringFile), nil, 0o600))
	_, err = newTestApp(t, at, saved)
	require.ErrorIs(t, err, errRestoring)
	require.NoError(t, restoreInto(t, saved, at, to))
	b, err := newTestApp(t, at, saved)
	require.NoError(t, err)
	require.NoError(t, b.Start(t.Context()))
	require.NoError(t, b.Stop())
}
