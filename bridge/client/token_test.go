package client_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
)

// Every call carries the token, once, and no redirect takes it elsewhere. A client without a
// token sends none.
func TestToken(t *testing.T) {
	t.Parallel()
	for token, want := range map[string][]string{"": nil, "a-token-0123456789": {"Bearer a-token-0123456789"}} {
		got := make(chan []string, 10)
		elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("nobody comes here") }))
		t.Cleanup(elsewhere.Close)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got <- r.Header["Authorization"]
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}))
		t.Cleanup(s.Close)
		c, err := client.New(s.URL, client.Options{Token: token})
		require.NoError(t, err)
		t.Cleanup(c.Close)
		ctx := t.Context()
		for _, call := range []func() error{
			func() error { _, err := c.Get(ctx, "get3w", "a"); return err },
			func() error { _, err := c.Watch(ctx, bridge.Watch{Source: "get3w", Prediction: "a"}); return err },
			func() error {
				_, err := c.Submit(ctx, client.SubmitRequest{Source: "get3w", Model: "m", Input: []byte("{}")})
				return err
			},
			func() error {
				return c.Follow(ctx, "get3w", "a", func(bridge.PredictionUpdate) error { return nil })
			},
		} {
			require.ErrorContains(t, call(), "307")
			require.Equal(t, want, <-got)
		}
	}
}
