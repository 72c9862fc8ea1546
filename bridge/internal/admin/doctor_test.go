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

type examined adminapi.Doctor

func (e examined) Doctor(context.Context) adminapi.Doctor { return adminapi.Doctor(e) }

func TestDoctorAPI(t *testing.T) {
	want := adminapi.Doctor{
		At: time.Now().UTC().Truncate(time.Second), Grade: adminapi.GradeUnsafe,
		Findings: []adminapi.Finding{{Check: "disk", Subject: "/x", Level: adminapi.FindingProblem, Why: "<full>", Remedy: "free some"}, {Check: "ready", Level: adminapi.FindingOK, Why: "well"}},
		Unknown:  []adminapi.Unchecked{{Check: "rights", Why: "away"}},
	}
	s := start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) { admin.RegisterDoctor(api, examined(want)) })
	require.Equal(t, want, ask[adminapi.Doctor](t, s, "/doctor", ""))
}
