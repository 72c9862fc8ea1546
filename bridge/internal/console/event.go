package console

import (
	"strings"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

// shownBody bounds a body that is shown beside other things, in bytes.
const shownBody = 8 << 10

// eventData is a whole event.
type eventData struct {
	adminapi.EventDetail

	// Raw: the body is shown as it came.
	Raw  bool
	Body body
}

func loadEvent(v *visit) (any, error) {
	e, err := ask[adminapi.EventDetail](v, "/events/"+escaped(v.param("seq")), nil)
	if err != nil {
		return nil, err
	}
	d := eventData{EventDetail: e, Raw: v.request.URL.Query().Get("raw") != "", Body: newBody(e.Content)}
	if d.Raw {
		came := e.Bytes()
		d.Body.Cut = len(came) > maxBody
		d.Body.Text = printable.String(string(came[:min(len(came), maxBody)]))
	}
	return d, nil
}

// PageTitle is that of the page.
func (d eventData) PageTitle() string { return "Event " + count(d.Seq) }

// Body is the beginning of the body of the event that is shown.
func (d predictionData) Body() body {
	b := newBody(d.Event.Content)
	if len(b.Text) > shownBody {
		b.Text, b.Cut = strings.ToValidUTF8(b.Text[:shownBody], ""), true
	}
	return b
}
