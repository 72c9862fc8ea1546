package natstest

import (
	"os"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"
)

// Operator is a running server whose users have JWTs, all of one account.
type Operator struct {
	*External

	operator, account nkeys.KeyPair
	claims            *jwt.AccountClaims
	resolver          *server.MemAccResolver
}

// StartOperator starts a server with JetStream for its account, and ends it with the test. change
// may be nil.
func StartOperator(t testing.TB, change func(*jwt.AccountClaims)) *Operator {
	t.Helper()
	o := &Operator{resolver: &server.MemAccResolver{}}
	var operatorKey, accountKey string
	o.operator, operatorKey = NewKey(t, nkeys.CreateOperator)
	o.account, accountKey = NewKey(t, nkeys.CreateAccount)
	_, systemKey := NewKey(t, nkeys.CreateAccount)
	told := jwt.NewOperatorClaims(operatorKey)
	told.SystemAccount = systemKey
	encoded, err := told.Encode(o.operator)
	require.NoError(t, err)
	trusted, err := jwt.DecodeOperatorClaims(encoded)
	require.NoError(t, err)
	o.claims = jwt.NewAccountClaims(accountKey)
	o.claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	if change != nil {
		change(o.claims)
	}
	o.store(t, o.claims)
	o.store(t, jwt.NewAccountClaims(systemKey))
	o.External = NewExternal(t, func(opts *server.Options) {
		opts.TrustedOperators, opts.AccountResolver, opts.SystemAccount = []*jwt.OperatorClaims{trusted}, o.resolver, systemKey
	})
	o.Start()
	return o
}

// NewKey returns a new pair of keys, and the public one as text.
func NewKey(t testing.TB, create func() (nkeys.KeyPair, error)) (pair nkeys.KeyPair, public string) {
	t.Helper()
	pair, err := create()
	require.NoError(t, err)
	public, err = pair.PublicKey()
	require.NoError(t, err)
	return pair, public
}

func (o *Operator) store(t testing.TB, claims *jwt.AccountClaims) {
	t.Helper()
	text, err := claims.Encode(o.operator)
	require.NoError(t, err)
	require.NoError(t, o.resolver.Store(claims.Subject, text))
}

// Issue writes the credentials of a new user into a file, and returns the user.
func (o *Operator) Issue(file string) (user string) {
	o.t.Helper()
	return o.IssueAs(file, o.account, func(*jwt.UserClaims) {})
}

// IssueAs is [Operator.Issue] by a signing key of the account.
func (o *Operator) IssueAs(file string, signer nkeys.KeyPair, change func(*jwt.UserClaims)) (user string) {
	o.t.Helper()
	pair, user := NewKey(o.t, nkeys.CreateUser)
	claims := jwt.NewUserClaims(user)
	claims.IssuerAccount = o.claims.Subject
	change(claims)
	text, err := claims.Encode(signer)
	require.NoError(o.t, err)
	seed, err := pair.Seed()
	require.NoError(o.t, err)
	creds, err := jwt.FormatUserConfig(text, seed)
	require.NoError(o.t, err)
	require.NoError(o.t, os.WriteFile(file, creds, 0o600))
	return user
}

// Revoke revokes a user while the server runs, which closes its connections.
func (o *Operator) Revoke(user string) {
	o.t.Helper()
	o.claims.Revoke(user)
	o.store(o.t, o.claims)
	account, err := o.s.LookupAccount(o.claims.Subject)
	require.NoError(o.t, err)
	o.s.UpdateAccountClaims(account, o.claims)
}
