package stream_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/natstest"
)

func keys(t *testing.T, create func() (nkeys.KeyPair, error)) (pair nkeys.KeyPair, public string) {
	t.Helper()
	pair, err := create()
	require.NoError(t, err)
	public, err = pair.PublicKey()
	require.NoError(t, err)
	return pair, public
}

// A user is revoked, and a while later the credentials file has another one.
func TestCredentialsFileIsReadAgain(t *testing.T) {
	t.Parallel()
	operator, operatorKey := keys(t, nkeys.CreateOperator)
	account, accountKey := keys(t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(accountKey)
	resolver := &server.MemAccResolver{}
	file := filepath.Join(t.TempDir(), "bridge.creds")
	store := func() {
		t.Helper()
		text, err := claims.Encode(operator)
		require.NoError(t, err)
		require.NoError(t, resolver.Store(accountKey, text))
	}
	issue := func() (user string) {
		t.Helper()
		pair, user := keys(t, nkeys.CreateUser)
		text, err := jwt.NewUserClaims(user).Encode(account)
		require.NoError(t, err)
		seed, err := pair.Seed()
		require.NoError(t, err)
		creds, err := jwt.FormatUserConfig(text, seed)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, creds, 0o600))
		return user
	}
	store()
	trusted, err := jwt.NewOperatorClaims(operatorKey).Encode(operator)
	require.NoError(t, err)
	decoded, err := jwt.DecodeOperatorClaims(trusted)
	require.NoError(t, err)
	x := natstest.NewExternal(t, func(o *server.Options) {
		o.JetStream = false
		o.TrustedOperators, o.AccountResolver = []*jwt.OperatorClaims{decoded}, resolver
	})
	x.Start()
	user := issue()
	told := &natstest.Alarms{}
	js, err := stream.OpenExternal(stream.ExternalConfig{URL: x.URL(), Creds: file}, "test", told, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(js.Close)
	require.True(t, js.Conn().IsConnected())

	claims.Revoke(user)
	store()
	x.Stop() // reloads the account
	x.Start()
	requireAlarm(t, told, bridge.AlarmCredentials, "test", "nats.creds")
	issue()
	require.Eventually(t, func() bool { return js.Conn().IsConnected() }, patience, patience/2000)
	require.Eventually(t, func() bool { return told.Cleared(bridge.AlarmCredentials) }, patience, patience/2000)
}
