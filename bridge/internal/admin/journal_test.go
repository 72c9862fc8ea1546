package admin_test

import (
	"context"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// oneAside is a journal with one message set aside.
type oneAside struct{}

func (oneAside) Journal() (adminapi.Journal, error) {
	return adminapi.Journal{
		Records: 2, Bytes: 300, MaxBytes: 1000, Oldest: time.Now(), SetAside: 1, SetAsideBytes: 100, Failure: "the disk is full",
		Entries: []adminapi.AsideEntry{{ID: "a", Stream: "HOOKSPAN_EVENTS", Subject: "hookspan.events.x", Bytes: 100, Cause: "too large"}},
	}, nil
}

func (oneAside) Resend(context.Context) (int, error) { return 1, nil }

func TestJournalAPI(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) { admin.RegisterJournal(api, oneAside{}) })
	require.Equal(t, "too large", ask[adminapi.Journal](t, s, "/journal", "").Entries[0].Cause)
	require.Equal(t, 1, ask[adminapi.Resent](t, s, "/journal/resend", `{}`).Resent)

	s.SetAPI(func(api *echo.Group) { admin.RegisterJournal(api, nil) })
	a := get(t, s, "/api/v1/journal")
	require.Equal(t, 404, a.status)
	require.Contains(t, a.detail(t), "no journal")
	require.Equal(t, 404, do(t, s, "POST", "/api/v1/journal/resend", "{}", asJSON).status)
}

func TestNamesAPI(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	sources := adminapi.SourceList{Sources: []adminapi.Source{{Name: "get3w", Kind: "get3w", Webhook: "http://127.0.0.1:8080/webhooks/get3w", Secrets: []string{"env:GET3W_WEBHOOK_SECRET"}}}}
	names := adminapi.Names{Consumers: []string{"archive"}, Sources: []string{"get3w"}}
	s.SetAPI(func(api *echo.Group) {
		admin.RegisterNames(api, func(context.Context) (adminapi.Names, error) { return names, nil })
		admin.RegisterCaller(api)
		admin.RegisterSources(api, func() adminapi.SourceList { return sources })
	})
	require.Equal(t, sources, ask[adminapi.SourceList](t, s, "/sources", ""))
	require.Equal(t, names, ask[adminapi.Names](t, s, "/names", ""))
	require.Equal(t, adminapi.Caller{Name: adminapi.Loopback, Scopes: adminapi.Scopes()}, ask[adminapi.Caller](t, s, "/me", ""))
}
