package stream_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// A program may tell of the attempts of consumers that it may run. Nobody but this process tells
// of those of its own consumers, or of pull consumers: a view believes what it is told.
func TestWhoMayTellOfAttempts(t *testing.T) {
	t.Parallel()
	b := pulling(t)
	told, err := b.NC.SubscribeSync(b.Names.AttemptsTold("*"))
	require.NoError(t, err)
	require.NoError(t, b.NC.Flush())

	program, _ := app(t, b)
	pull, _ := asPull(t, b, "search-team")
	calls := []string{"$JS.API.INFO", "$JS.API.CONSUMER.INFO.HOOKSPAN_EVENTS.search-team", "$JS.API.CONSUMER.MSG.NEXT.HOOKSPAN_EVENTS.search-team", "hookspan.later.search-team.1"}
	for who, nc := range map[string]*nats.Conn{"app": program, "pull": pull} {
		for _, consumer := range []string{"archive", "search-team", "other", "a.b", ">", "*"} {
			subject := b.Names.AttemptsTold(consumer)
			_ = nc.Publish(subject, []byte(who)) // the client itself refuses some
			for _, call := range calls {
				require.NoError(t, nc.PublishRequest(call, subject, []byte(`{"batch":1,"no_wait":true}`)))
			}
		}
		require.NoError(t, nc.Publish(b.Names.AttemptsTold("mine"), []byte(who)))
		_, err := nc.Request("$JS.API.INFO", nil, patience) // sent after the others
		require.NoError(t, err)
	}
	require.NoError(t, b.NC.Flush())
	var got []string
	for m, err := range told.Msgs() {
		if err != nil {
			break
		}
		if consumer := b.Names.AttemptsConsumer(m.Subject); consumer != "" { // a wildcard is a token to the server, and no name
			got = append(got, consumer+" "+string(m.Data))
		}
		if n, _, err := told.Pending(); err != nil || n == 0 {
			break
		}
	}
	require.Equal(t, []string{"mine app"}, got)

	sub, err := program.SubscribeSync(b.Names.AttemptsTold(">"))
	require.NoError(t, err) // its refusal comes later
	require.NoError(t, program.Publish(b.Names.AttemptsTold("mine"), []byte("app")))
	require.NoError(t, program.Flush())
	n, _, err := sub.Pending()
	require.True(t, err != nil || n == 0, "a program cannot listen to others")
}
