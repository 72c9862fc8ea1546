package admin

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// Journal is the journal of this process.
type Journal interface {
	// Journal returns its state.
	Journal() (adminapi.Journal, error)
	// Resend takes what is set aside back into the journal, and returns how many messages.
	Resend(ctx context.Context) (int, error)
}

// RegisterJournal adds the routes about the journal. A nil journal is for a process that has
// none.
func RegisterJournal(api *echo.Group, journal Journal) {
	h := journalAPI{journal}
	api.GET("/journal", get(h.show))
	api.POST("/journal/resend", call(h.resend))
}

type journalAPI struct{ journal Journal }

var errNoJournal = echo.NewHTTPError(http.StatusNotFound, "This process has no journal: ask one with the role ingress, and see ingress.ack.")

func (h journalAPI) show(echo.Context) (adminapi.Journal, error) {
	if h.journal == nil {
		return adminapi.Journal{}, errNoJournal
	}
	return h.journal.Journal()
}

func (h journalAPI) resend(c echo.Context, _ struct{}) (adminapi.Resent, error) {
	if h.journal == nil {
		return adminapi.Resent{}, errNoJournal
	}
	n, err := h.journal.Resend(c.Request().Context())
	changes(c, n)
	return adminapi.Resent{Resent: n}, err
}
