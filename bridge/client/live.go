package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/hookspan/hookspan/internal/eventstream"
)

// Names of live streams, see [Client.Live].
const (
	LiveEvents = "events"
	LiveAlarms = "alarms"
)

// Live is one thing that a live stream tells.
type Live struct {
	// Name is "event" or "alarm"; "gap" or "sampled" when something is left out, of which Data
	// says how much.
	Name string
	// ID is the place in the stream: a number, as text.
	ID string
	// Data is JSON, as docs/operations.md has it.
	Data json.RawMessage
}

// Live calls each with what is stored, [LiveEvents] or [LiveAlarms], as it is stored, until ctx
// ends. The query selects, as that of the API does; its last_event_id names the place to begin
// behind, otherwise Live begins with what is stored from now on. When the stream breaks, Live
// connects again, and goes on where it was. It returns the error of each, ctx's error when ctx
// ends, or an [*Error] when the bridge refuses.
func (c *Client) Live(ctx context.Context, stream string, query url.Values, each func(Live) error) error {
	last := ""
	return c.reconnect(ctx, func(told func()) error {
		header := http.Header{}
		if last != "" {
			header.Set("Last-Event-ID", last)
		}
		return c.stream(ctx, "/api/v1/"+url.PathEscape(stream)+"/live", query, header, func(e eventstream.Event) error {
			told()
			if e.Name != "" {
				if err := each(Live{Name: e.Name, ID: e.ID, Data: json.RawMessage(e.Data)}); err != nil {
					return &callerError{err}
				}
			}
			if e.ID != "" {
				last = e.ID
			}
			return nil
		})
	})
}
