package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func testServer(t *testing.T, dir string) (jetstream.JetStream, func()) {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(10*time.Second))
	nc, err := nats.Connect("", nats.InProcessServer(s))
	require.NoError(t, err)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js, func() { nc.Close(); s.Shutdown(); s.WaitForShutdown() }
}

// A store that was made older has every message, to the byte, with another time,
// and its server no longer knows the ids of what has left the duplicate window.
func TestAge(t *testing.T) {
	const messages = 20
	dir := t.TempDir()
	js, stop := testServer(t, dir)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: EventsStream, Subjects: []string{"e.>"}, Duplicates: 2 * time.Hour, AllowDirect: true})
	require.NoError(t, err)
	publish := func(i int) *jetstream.PubAck {
		m := &nats.Msg{Subject: "e.x", Data: fmt.Append(nil, "body ", i)}
		if i%2 == 0 {
			m.Header = nats.Header{HeaderMsgID: {fmt.Sprint(i)}}
		}
		ack, err := js.PublishMsg(t.Context(), m)
		require.NoError(t, err)
		return ack
	}
	for i := range messages {
		publish(i)
	}
	require.True(t, publish(0).Duplicate)
	stop()

	require.NoError(t, Try(func() { Age(dir, 3*time.Hour) }))
	js, stop = testServer(t, dir)
	defer func() { stop() }()
	stream, err := js.Stream(t.Context(), EventsStream)
	require.NoError(t, err)
	require.EqualValues(t, messages, stream.CachedInfo().State.Msgs)
	for i := range messages {
		m, err := stream.GetMsg(t.Context(), uint64(i+1))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("body ", i), string(m.Data))
		require.WithinDuration(t, time.Now().Add(-3*time.Hour), m.Time, time.Minute)
	}
	require.False(t, publish(0).Duplicate)
}

func TestAgeRefusesWhatItDoesNotKnow(t *testing.T) {
	dir := t.TempDir()
	ageIt := func() error { return Try(func() { Age(dir, time.Hour) }) }
	require.Error(t, ageIt(), "there is no stream")
	folder := filepath.Join(dir, "jetstream", "$G", "streams", EventsStream, "msgs")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	require.NoError(t, ageIt())
	require.NoError(t, os.WriteFile(filepath.Join(folder, "1.blk"), make([]byte, 100), 0o600))
	require.Error(t, ageIt())
}
