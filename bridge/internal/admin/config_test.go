package admin_test

import (
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func TestConfigAPI(t *testing.T) {
	want := adminapi.Config{
		Version: "v1", File: "/etc/<x>.yaml", Restart: []string{"roles"},
		Settings: []adminapi.Setting{{Key: "roles", Value: []any{"ingress", "admin"}, Line: 3}, {Key: "ingress.max_in_flight", Value: 4096.0}},
	}
	s := start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) { admin.RegisterConfig(api, func() adminapi.Config { return want }) })
	require.Equal(t, want, ask[adminapi.Config](t, s, "/config", ""))
}
