package console

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/hookspan/hookspan/internal/adminapi"
)

var modelPages = map[string]page{
	"/models": {template: "models", title: "Models", live: true, load: models},
}

// modelsData is the page of the models.
type modelsData struct {
	adminapi.ModelList

	// Query, Since and Order are as in the address; Since and Order are never empty.
	Query, Since, Order string
	Cursor              string
	// Wrong is why the filter line cannot be understood.
	Wrong error
}

// Sinces and Orders are what a person can choose.
func (modelsData) Sinces() []choice {
	return []choice{{"1h", "1 hour"}, {"24h", "24 hours"}, {"7d", "7 days"}, {"30d", "30 days"}}
}

// Orders are what a person can order by.
func (modelsData) Orders() []choice {
	return []choice{{"failing", "Most failed"}, {"newest", "Newest"}}
}

// choice is one of a few values of a parameter.
type choice struct{ Value, Title string }

// Path is that of the page with another choice.
func (d modelsData) Path(since, order, cursor string) string {
	query := url.Values{}
	for name, value := range map[string]string{"q": d.Query, "since": since, "order": order, "cursor": cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return "/models?" + query.Encode()
}

// models loads a page. The filter line is a glob of models; source:NAME selects a source.
func models(v *visit) (any, error) {
	query := v.request.URL.Query()
	d := modelsData{Query: strings.TrimSpace(query.Get("q")), Since: query.Get("since"), Order: query.Get("order"), Cursor: query.Get("cursor")}
	if d.Since == "" {
		d.Since = "24h"
	}
	if d.Order == "" {
		d.Order = "failing"
	}
	asked := url.Values{"since": {d.Since}, "order": {d.Order}, "limit": {"50"}}
	if d.Cursor != "" {
		asked.Set("cursor", d.Cursor)
	}
	for term := range strings.FieldsSeq(d.Query) {
		if source, ok := strings.CutPrefix(term, "source:"); ok {
			asked.Set("source", source)
			continue
		}
		term = strings.TrimPrefix(term, "model:")
		if asked.Has("model") {
			d.Wrong = wrong("One model can be asked for at a time, such as google/*, and one source, such as source:get3w.")
			return d, nil
		}
		asked.Set("model", term)
	}
	var err error
	d.ModelList, err = ask[adminapi.ModelList](v, "/models", asked)
	return d, err
}

// quoted writes a value of the language in which people search predictions.
func quoted(value string) string {
	if value != "" && !strings.ContainsAny(value, " \t\"\\") {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// failedOf is the search for the failed predictions of a model.
func failedOf(m adminapi.Model, since string) string {
	return fmt.Sprintf("model:%s source:%s status:failed since:%s", quoted(m.Model), quoted(m.Source), since)
}

// points writes a change of a share in percentage points.
func points(change *float64) string {
	if change == nil {
		return ""
	}
	switch p := *change * 100; {
	case p >= 0.05:
		return fmt.Sprintf("+%.1f", p)
	case p <= -0.05:
		return fmt.Sprintf("−%.1f", -p)
	}
	return "±0"
}

// worse is the tone of a change: half a percentage point is none.
func worse(change *float64) string {
	switch {
	case change == nil || *change > -0.005 && *change < 0.005:
		return "mute"
	case *change > 0:
		return "bad"
	}
	return "good"
}
