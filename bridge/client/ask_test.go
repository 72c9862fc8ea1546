package client_test

import (
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/client"
)

func TestAsk(t *testing.T) {
	t.Parallel()
	c := bridgeOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.String() != "/api/v1/events?limit=2" {
			problem(w, 404, r.URL.String())
			return
		}
		_, _ = io.WriteString(w, `{"events":[{"seq":1}]}`)
	})
	var list struct{ Events []struct{ Seq int } }
	require.NoError(t, c.Ask(t.Context(), "/api/v1/events", url.Values{"limit": {"2"}}, &list))
	require.Equal(t, 1, list.Events[0].Seq)

	answered := (*client.Error)(nil)
	require.ErrorAs(t, c.Ask(t.Context(), "/api/v1/other", nil, &list), &answered)
	require.Equal(t, 404, answered.Status)
}
