package console

import (
	"html/template"
	"net/url"
	"strings"
)

// text is a value of the query or the form without white space around it.
func (v *visit) text(name string) string { return strings.TrimSpace(v.request.FormValue(name)) }

func queryOf(q url.Values) template.URL {
	return template.URL("?" + q.Encode()) //nolint:gosec // Encode escapes
}

// chip is one part of a filter, and the path without it.
type chip struct {
	Name, Value string
	Without     template.URL
}

// chips are the parts of a filter, for the page of a path.
func chips(path string, q url.Values, names ...string) (out []chip) {
	for _, name := range names {
		value := q.Get(name)
		if value == "" {
			continue
		}
		c := chip{Name: name, Value: value}
		switch name {
		case "cause":
			c.Value = lower(anyCause(value).Words)
		case "group":
			c = chip{Name: "error", Value: "one kind"}
		}
		q.Del(name)
		c.Without = template.URL(path) + queryOf(q) //nolint:gosec // a path of our own
		q.Set(name, value)
		out = append(out, c)
	}
	return out
}

// pager leads to other pages of a list.
type pager struct {
	// Newest is the first page, Older the next one; empty is none.
	Newest, Older template.URL
}

func newPager(path string, q url.Values, cursor, next string) (p pager) {
	q.Del("cursor")
	if cursor != "" {
		p.Newest = template.URL(path) + queryOf(q) //nolint:gosec // a path of our own
	}
	if next != "" {
		q.Set("cursor", next)
		p.Older = template.URL(path) + queryOf(q) //nolint:gosec // a path of our own
	}
	return p
}
