package bridge

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestFilterSubjects(t *testing.T) {
	t.Parallel()
	const p = "hookspan.events."
	for _, c := range []struct {
		name   string
		filter Filter
		want   []string
		rest   bool
	}{
		{"all", Filter{}, []string{p + "*.prediction.*.>"}, false},
		{"all, said", Filter{Sources: []string{"*"}, Statuses: []string{"*", "failed"}, Model: "*"}, []string{p + "*.prediction.*.>"}, false},
		{"completed", Filter{Statuses: []string{"completed"}}, []string{p + "*.prediction.completed.>"}, false},
		{"two by two", Filter{Sources: []string{"b", "a", "b"}, Statuses: []string{"failed", "completed"}}, []string{
			p + "a.prediction.completed.>", p + "a.prediction.failed.>", p + "b.prediction.completed.>", p + "b.prediction.failed.>",
		}, false},
		{"one model", Filter{Model: "a/b.c"}, []string{p + "*.prediction.*.a.b=2Ec"}, false},
		{"an owner's models", Filter{Model: "google/*"}, []string{p + "*.prediction.*.google.>"}, false},
		{"a family", Filter{Model: "google/nano*"}, []string{p + "*.prediction.*.google.>"}, true},
		{"the end", Filter{Model: "*/flux"}, []string{p + "*.prediction.*.>"}, true},
		{"the middle", Filter{Model: "a/*/c"}, []string{p + "*.prediction.*.a.>"}, true},
		{"nine parts", Filter{Model: "a/b/c/d/e/f/g/h/*"}, []string{p + "*.prediction.*.a.b.c.d.e.f.g.>"}, true},
		{"archived", Filter{Event: KindArchived, Statuses: []string{"failed", "completed"}}, []string{p + "*.outputs.archived.>"}, false},
		{"archived of two", Filter{Event: KindArchived, Sources: []string{"b", "a"}, Model: "google/n*"}, []string{
			p + "a.outputs.archived.google.>", p + "b.outputs.archived.google.>",
		}, true},
		{"predictions, said", Filter{Event: KindPrediction, Statuses: []string{"completed"}}, []string{p + "*.prediction.completed.>"}, false},
		{"eight parts", Filter{Model: "a/b/c/d/e/f/g/*"}, []string{p + "*.prediction.*.a.b.c.d.e.f.g.>"}, false},
	} {
		require.NoError(t, c.filter.Validate(), c.name)
		got, rest := c.filter.Subjects(Names{})
		require.Equal(t, c.want, got, c.name)
		require.Equal(t, c.rest, rest, c.name)
	}
}

func TestFilterValidate(t *testing.T) {
	t.Parallel()
	many := make([]string, 200)
	for i := range many {
		many[i] = "s" + strings.Repeat("x", i%30)
	}
	for name, f := range map[string]Filter{
		"source with dot":   {Sources: []string{"a.b"}},
		"source wildcard":   {Sources: []string{">"}},
		"status with dot":   {Statuses: []string{"a.b"}},
		"empty status":      {Statuses: []string{""}},
		"status wildcard":   {Statuses: []string{">"}},
		"too many subjects": {Sources: many, Statuses: []string{"completed", "failed"}},
		"unknown kind":      {Event: "outputs.*"},
		"long glob":         {Model: strings.Repeat("x", 2000)},
	} {
		require.Error(t, f.Validate(), name)
	}
	require.NoError(t, Filter{Event: KindArchived}.Validate())
	require.NoError(t, Filter{Statuses: []string{EncodeToken(strings.Repeat("é", 60))}}.Validate())
}

// natsMatch implements NATS wildcards independently of the code under test.
func natsMatch(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		switch {
		case token == ">":
			return len(s) > i
		case i >= len(s) || token != "*" && token != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}

// An event passes the filter exactly when a subject matches its subject and, if rest is
// set, Match agrees.
func FuzzFilter(f *testing.F) {
	f.Add("google/*", "google/nano-banana-pro/text-to-image", "completed", true)
	f.Add("*/flux*", "a/flux-dev", "failed", false)
	f.Add("a/b/c/d/e/f/g/h/i/*", "a/b/c/d/e/f/g/h/i/j", "created", false)
	f.Add("a*a", "a", "x", false)
	f.Add("a/*", "a", "x", false)
	f.Add("", "", "x", false)
	f.Fuzz(func(t *testing.T, glob, model, status string, archived bool) {
		e := &Event{Source: "get3w", Status: EncodeToken(status), Model: model}
		if archived {
			e.Type = TypeArchived
		}
		subject := Names{}.SubjectOf(e)
		for _, filter := range []Filter{
			{Model: glob, Event: KindArchived},
			{Event: KindArchived, Sources: []string{"other", "get3w"}, Statuses: []string{"never"}},
			{Model: glob},
			{Model: glob, Sources: []string{"get3w", "other"}, Statuses: []string{e.Status}},
			{Model: glob, Sources: []string{"other"}},
			{Model: glob, Statuses: []string{"never"}},
		} {
			if filter.Validate() != nil {
				return
			}
			subjects, rest := filter.Subjects(Names{})
			hits := 0
			for _, s := range subjects {
				if natsMatch(s, subject) {
					hits++
				}
			}
			if hits > 1 {
				t.Fatalf("subjects of %+v overlap: %q", filter, subjects)
			}
			want := filter.Match(e)
			if got := hits == 1 && (!rest || want); got != want {
				t.Fatalf("%+v with subjects %q, rest %v: subject %q gives %v, Match says %v", filter, subjects, rest, subject, got, want)
			}
		}
		if !utf8.ValidString(glob) || !utf8.ValidString(model) {
			return // the other matcher cannot read it
		}
		re := regexp.MustCompile(`(?s)\A` + strings.ReplaceAll(regexp.QuoteMeta(glob), `\*`, `.*`) + `\z`)
		if globMatch(glob, model) != re.MatchString(model) {
			t.Fatalf("glob %q on %q: %v", glob, model, globMatch(glob, model))
		}
	})
}
