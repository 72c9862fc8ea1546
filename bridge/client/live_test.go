package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/client"
)

// A stream that breaks goes on where it was, also when the last thing told was only a place, and
// the caller is told of both.
func TestLiveGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	var told []string
	connection := func(err error) { told = append(told, fmt.Sprint("broken ", err != nil)) }
	c := bridgeWith(t, client.Options{Connection: connection}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/events/live" || r.URL.Query().Get("status") != "failed" {
			problem(w, 400, r.URL.String())
			return
		}
		switch last := r.Header.Get("Last-Event-ID"); last {
		case "":
			_, _ = io.WriteString(w, "retry: 1\n\n:\nid: 6\n\nevent: event\nid: 7\ndata: {\"seq\":7}\n\nevent: event\nid: 9\ndata: half")
		case "7":
			_, _ = io.WriteString(w, "event: gap\nid: 20\ndata: {}\n\n:\nid: 30\n\n")
		case "30":
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "{}")
		default:
			problem(w, 400, last)
		}
	})
	query := url.Values{"status": {"failed"}}
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Live(ctx, client.LiveEvents, query, func(l client.Live) error {
		told = append(told, fmt.Sprint(l.Name, l.ID, string(l.Data)))
		if l.Name == "gap" {
			cancel()
		}
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []string{`event7{"seq":7}`, "broken true", "broken false", "gap20{}"}, told)

	errEnough := errors.New("enough")
	require.ErrorIs(t, c.Live(t.Context(), client.LiveEvents, query, func(client.Live) error { return errEnough }), errEnough)
	var answered *client.Error
	require.ErrorAs(t, c.Live(t.Context(), client.LiveAlarms, nil, nil), &answered)
	require.Equal(t, 400, answered.Status)
}
