package stream_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/natstest"
)

// A user is revoked, and a while later the credentials file has another one.
func TestCredentialsFileIsReadAgain(t *testing.T) {
	t.Parallel()
	o := natstest.StartOperator(t, nil)
	file := filepath.Join(t.TempDir(), "bridge.creds")
	user := o.Issue(file)
	told := &natstest.Alarms{}
	js, err := stream.OpenExternal(stream.ExternalConfig{URL: o.URL(), Creds: file}, "test", told, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(js.Close)
	require.True(t, js.Conn().IsConnected())

	o.Revoke(user)
	requireAlarm(t, told, bridge.AlarmCredentials, "test", "nats.creds")
	o.Issue(file)
	require.Eventually(t, func() bool { return js.Conn().IsConnected() }, patience, patience/2000)
	require.Eventually(t, func() bool { return told.Cleared(bridge.AlarmCredentials) }, patience, patience/2000)
}
