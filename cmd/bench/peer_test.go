package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/needs"
)

// The test is its own peer and its own NATS server, as the program is.
func TestMain(m *testing.M) {
	rig.Main(modes, func(context.Context, []string, io.Writer, io.Writer) int { return m.Run() })
}

const peerEvents = 50

// sendPeer sends webhooks to a peer that stores them, and a forged one that it refuses.
func sendPeer(t *testing.T, r *rig.Rig, store, at string) {
	t.Helper()
	peer := startPeer(r, store, at)
	peer.Load(4, r.NewPool(peerEvents, failedWebhook()), untilEmpty)
	conn := &rig.Conn{Addr: peer.Webhooks, Timeout: rig.AnswerTimeout}
	defer conn.Close()
	for body, status := range map[string]int{
		string(failedWebhook().Body()): http.StatusUnauthorized,
		"no JSON":                      http.StatusUnauthorized,
	} {
		answer := rig.Must(conn.Post(r.Context(), rig.Request([]byte(body), "forged")))
		require.Equal(t, status, answer.Status)
	}
	answer := rig.Must(conn.Post(r.Context(), rig.Request([]byte("no JSON"), rig.Sign([]byte("no JSON")))))
	require.Equal(t, http.StatusBadRequest, answer.Status)
	_, err := peer.Stop()
	require.NoError(t, err)
}

func TestPeerInNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.NoError(t, rig.Try(func() { sendPeer(t, r, inNothing, "") }))
	require.ErrorContains(t, rig.Try(func() { startPeer(r, "clouds", "") }), `no store "clouds"`)
}

func TestPeerInNATS(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.NoError(t, rig.Try(func() {
		server := r.StartNATS(rig.NATSConfig{})
		sendPeer(t, r, inNATS, server.URL)
		stream := rig.Must(rig.Must(jetstream.New(server.Connect())).Stream(t.Context(), "events"))
		require.EqualValues(t, peerEvents, stream.CachedInfo().State.Msgs)
	}))
}

// TestPeerInPostgres starts the server twice on one folder, as each round does. It commits
// as Debian's default says.
func TestPeerInPostgres(t *testing.T) {
	t.Parallel()
	needs.Programs(t, filepath.Join("/usr/lib/postgresql", postgresVersion(), "bin/postgres"))
	require.Empty(t, missingPostgres())
	r := newRig(t)
	require.NoError(t, rig.Try(func() {
		pg := newPostgres(r)
		for range 2 {
			r.Within("round", func(r *rig.Rig) {
				server := pg.start(r)
				before := server.ProcessorOfAll()
				sendPeer(t, r, inPostgres, pg.url())
				conn := rig.Must(pgx.Connect(t.Context(), pg.url()))
				var count int
				require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from events").Scan(&count))
				require.Equal(t, peerEvents, count)
				for _, setting := range []string{"synchronous_commit", "fsync", "full_page_writes"} {
					var value string
					require.NoError(t, conn.QueryRow(t.Context(), "select current_setting($1)", setting).Scan(&value))
					require.Equal(t, "on", value, setting)
				}
				require.NoError(t, conn.Close(t.Context()))
				require.GreaterOrEqual(t, server.ProcessorOfAll(), before, "of its children that have ended too")
			})
		}
	}))
	require.NoFileExists(t, filepath.Join(r.Path("postgres"), "postmaster.pid"), "it ended as it should")
}

// TestPostgresThatCannotStart says why, in the server's own words.
func TestPostgresThatCannotStart(t *testing.T) {
	t.Parallel()
	needs.Programs(t, filepath.Join("/usr/lib/postgresql", postgresVersion(), "bin/postgres"))
	r := newRig(t)
	require.NoError(t, rig.Try(func() {
		pg := newPostgres(r)
		require.NoError(t, os.WriteFile(filepath.Join(pg.data, "postgresql.conf"), []byte("nothing = known\n"), 0o600))
		err := rig.Try(func() { pg.start(r) })
		require.ErrorContains(t, err, "unrecognized configuration parameter", "the end of its log")
	}))
}
