package console

import (
	"net/url"
	"strings"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// alarmsData is a page of alarms.
type alarmsData struct {
	adminapi.AlarmList

	Past          bool
	Query, Cursor string
}

// Path is that of the page with past alarms or without, and of a page of the list.
func (d alarmsData) Path(past bool, cursor string) string {
	query := url.Values{}
	if past {
		query.Set("past", "1")
	}
	if d.Query != "" {
		query.Set("q", d.Query)
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	if len(query) == 0 {
		return "/system/alarms"
	}
	return "/system/alarms?" + query.Encode()
}

// alarms loads a page. The filter line is a kind, and subject:NAME.
func alarms(v *visit) (any, error) {
	query := v.request.URL.Query()
	d := alarmsData{Past: query.Get("past") == "1", Query: strings.TrimSpace(query.Get("q")), Cursor: query.Get("cursor")}
	asked := url.Values{"limit": {"50"}}
	if !d.Past {
		asked.Set("active", "true")
	}
	if d.Cursor != "" {
		asked.Set("cursor", d.Cursor)
	}
	for term := range strings.FieldsSeq(d.Query) {
		if subject, ok := strings.CutPrefix(term, "subject:"); ok {
			asked.Set("subject", subject)
		} else {
			asked.Set("kind", strings.ReplaceAll(strings.TrimPrefix(term, "kind:"), "-", "_"))
		}
	}
	var err error
	d.AlarmList, err = ask[adminapi.AlarmList](v, "/alarms", asked)
	return d, err
}
