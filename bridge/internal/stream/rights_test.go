package stream_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/rights"
	"github.com/hookspan/hookspan/internal/natstest"
)

// For each right there is a user that lacks it alone, and the trial of a process with a role that
// needs it names it, in one line.
func TestOneRightLessIsNamed(t *testing.T) {
	t.Parallel()
	type lacking struct {
		role, right string
		subscribe   bool
	}
	cases, seen := map[string]lacking{}, map[string]bool{}
	x := natstest.NewExternal(t, func(o *server.Options) {
		for _, role := range rights.Roles() {
			all := rights.Of(bridge.Names{}, stream.DefaultInboxPrefix, role.Name)
			for _, list := range []struct {
				subjects  []string
				subscribe bool
			}{{all.Publish, false}, {all.Subscribe, true}} {
				for _, right := range list.subjects {
					if strings.HasPrefix(right, "$SYS.") || strings.HasPrefix(right, "$JS.ACK.*.*.") {
						continue // nobody has to have these, see the trial
					}
					if seen[right] {
						continue
					}
					seen[right] = true
					user := fmt.Sprintf("u%d", len(cases))
					cases[user] = lacking{role.Name, right, list.subscribe}
					may := &server.Permissions{Publish: &server.SubjectPermission{Allow: all.Publish}, Subscribe: &server.SubjectPermission{Allow: all.Subscribe}}
					if list.subscribe {
						may.Subscribe = &server.SubjectPermission{Allow: without(all.Subscribe, right), Deny: []string{right}}
					} else {
						may.Publish = &server.SubjectPermission{Allow: without(all.Publish, right), Deny: []string{strings.Replace(right, "*", "hookspan-doctor", 1)}}
					}
					o.Users = append(o.Users, &server.User{Username: user, Password: "p", Permissions: may})
				}
			}
		}
	})
	x.Start()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for user, lacks := range cases {
		cfg := stream.ExternalConfig{URL: x.URL(), User: user, Password: func() string { return "p" }}
		trial, err := stream.Try(ctx, cfg, rights.Of(bridge.Names{}, stream.DefaultInboxPrefix, lacks.role))
		require.NoError(t, err)
		subject := lacks.right
		if !lacks.subscribe {
			subject = strings.NewReplacer("*", "hookspan-doctor", ">", "hookspan-doctor").Replace(subject)
		}
		require.Contains(t, trial.Missing, subject, "%+v", lacks)
		require.LessOrEqual(t, len(trial.Missing), 2, "%+v: %v", lacks, trial.Missing) // one pattern may be part of another
		requireUnable(t, trial.Denied(), stream.UnableRights, trial.Missing[0])
	}
}

// Two settings of the bridge look like rights that are missing, and the line names them.
func TestMissingRightsNameTheSetting(t *testing.T) {
	t.Parallel()
	const grant = "let the operator of NATS grant that"
	line := func(missing ...string) string { return (&stream.Trial{Missing: missing}).Denied().Error() }
	require.Contains(t, line("_INBOX_hookspan.>"), "set nats.inbox_prefix to the inbox that this user has")
	require.Contains(t, line("$JS.API.STREAM.CREATE.HOOKSPAN_EVENTS"), "set nats.provision: verify for this one; or "+grant)
	require.Contains(t, line("hookspan.events.hookspan-doctor"), "in NATS: "+grant)
}

func without(list []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == one })
}

// The same rights where an operator signs accounts: each role has a signing key of the account with
// its rights, and signs users that have what they need, and not what another one has. In the JWT of
// a user so many rights would be larger than the server takes.
func TestRightsAsJWTs(t *testing.T) {
	t.Parallel()
	signing := map[string]nkeys.KeyPair{}
	o := natstest.StartOperator(t, func(claims *jwt.AccountClaims) {
		for _, role := range rights.Roles() {
			may := rights.Of(bridge.Names{}, stream.DefaultInboxPrefix, role.Name)
			scope := jwt.NewUserScope()
			scope.Role = role.Name
			signing[role.Name], scope.Key = natstest.NewKey(t, nkeys.CreateAccount)
			scope.Template.Pub.Allow, scope.Template.Sub.Allow = may.Publish, may.Subscribe
			if may.Answers {
				scope.Template.Resp = &jwt.ResponsePermission{MaxMsgs: -1, Expires: 2 * time.Minute}
			}
			claims.SigningKeys.AddScopedSigner(scope)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	files := map[string]string{}
	for _, role := range rights.Roles() {
		files[role.Name] = filepath.Join(t.TempDir(), role.Name+".creds")
		o.IssueAs(files[role.Name], signing[role.Name], func(c *jwt.UserClaims) { c.Name = role.Name; c.SetScoped(true) })
		trial, err := stream.Try(ctx, stream.ExternalConfig{URL: o.URL(), Creds: files[role.Name]}, rights.Of(bridge.Names{}, stream.DefaultInboxPrefix, role.Name))
		require.NoError(t, err)
		require.Empty(t, trial.Missing, role.Name)
	}
	trial, err := stream.Try(ctx, stream.ExternalConfig{URL: o.URL(), Creds: files[rights.Ingress]}, rights.Of(bridge.Names{}, stream.DefaultInboxPrefix, rights.Admin))
	require.NoError(t, err)
	require.Contains(t, trial.Missing, "$JS.API.STREAM.PURGE.HOOKSPAN_EVENTS")
	require.Contains(t, trial.Missing, "$JS.API.DIRECT.GET.HOOKSPAN_EVENTS")
}
