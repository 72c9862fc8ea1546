package console

import (
	"net/url"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// changed are the changes in words, by route.
var changed = map[string]string{
	"POST /consumers":              "added a consumer",
	"POST /consumers/:name/pause":  "paused a consumer",
	"POST /consumers/:name/remove": "removed a consumer",
	"POST /consumers/:name/resume": "resumed a consumer",
	"POST /consumers/:name/seek":   "moved a consumer",
	"POST /dead/drop":              "dropped dead letters",
	"POST /dead/redrive":           "redrove dead letters",
	"POST /erase":                  "erased a prediction",
	"POST /events/replay":          "replayed events",
	"POST /jobs":                   "began a job",
	"POST /jobs/:id/cancel":        "cancelled a job",
	"POST /journal/resend":         "took back what was set aside",
	"PUT /predictions/:source/:id": "announced a prediction",
	"POST /predictions/:source/*":  "submitted a prediction",
	"POST /quarantine/accept":      "accepted a delivery",
	"POST /quarantine/drop":        "dropped kept deliveries",
	"POST /quarantine/reverify":    "verified kept deliveries again",
	"POST /view/rebuild":           "had the view made anew",
}

// auditWords are a change in words, or the route of one that has none.
func auditWords(route string) string {
	if words, ok := changed[route]; ok {
		return words
	}
	return route
}

// auditData is a page of the audit.
type auditData struct {
	adminapi.AuditList

	Cursor string
}

func auditList(v *visit) (any, error) {
	d := auditData{Cursor: v.request.URL.Query().Get("cursor")}
	asked := url.Values{"limit": {"50"}}
	if d.Cursor != "" {
		asked.Set("cursor", d.Cursor)
	}
	var err error
	d.AuditList, err = ask[adminapi.AuditList](v, "/audit", asked)
	return d, err
}
