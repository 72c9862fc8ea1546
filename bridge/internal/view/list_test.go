package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

// all reads every page.
func (x *viewed) all(q Query) (ids []string) {
	x.r.t.Helper()
	for {
		page, next, err := x.Predictions(x.r.t.Context(), q)
		require.NoError(x.r.t, err)
		for _, row := range page {
			ids = append(ids, row.State.ID)
		}
		if next == "" {
			return ids
		}
		q.Cursor = next
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	failed := `"status":"failed","error":"no"`
	model := func(e *bridge.Event, model string) *bridge.Event { e.Model = model; return e }
	r.publish(
		says(t, "a", finished), model(says(t, "b", finished), "google/nano"), watched(t, "c", bridge.Watch{Reference: "order 7", Tenant: "acme"}),
		says(t, "d", failed), model(says(t, "e", failed), "google/veo"), watched(t, "f", bridge.Watch{Tenant: "acme"}), model(says(t, "g", running), ""),
	)
	x.folded()
	r.publish(says(t, "c", finished))
	other := says(t, "a", finished)
	other.Source = "other"
	last := r.publish(other)
	x.folded()
	for _, c := range []struct {
		q    Query
		want []string
	}{
		{Query{}, []string{"a", "g", "f", "e", "d", "c", "b", "a"}},
		{Query{Source: "get3w"}, []string{"g", "f", "e", "d", "c", "b", "a"}},
		{Query{Source: "nobody"}, nil},
		{Query{Status: "completed"}, []string{"a", "c", "b", "a"}},
		{Query{Source: "get3w", Status: "failed"}, []string{"e", "d"}},
		{Query{Model: "google/*"}, []string{"e", "b"}},
		{Query{Model: "google/*", Status: "failed"}, []string{"e"}},
		{Query{Model: "google/nano"}, []string{"b"}},
		{Query{Model: "*/flux*"}, []string{"a", "f", "d", "c", "a"}},
		{Query{Model: "*"}, []string{"a", "g", "f", "e", "d", "c", "b", "a"}},
		{Query{Model: "get3w/flux-dev", Source: "other"}, []string{"a"}},
		{Query{Reference: "order 7"}, []string{"c"}},
		{Query{Tenant: "acme"}, []string{"f", "c"}},
		{Query{Tenant: "acme", Status: "completed"}, []string{"c"}},
		{Query{Open: true}, []string{"g", "f"}},
		{Query{Open: true, Model: "get3w/*"}, []string{"f"}},
		{Query{Until: x.state("c").FirstSeen}, []string{"b", "a"}},
		{Query{Since: x.state("f").FirstSeen}, []string{"a", "g", "f"}},
		{Query{Since: x.state("b").FirstSeen, Until: x.state("d").FirstSeen, Status: "completed"}, []string{"c", "b"}},
		{Query{Since: time.Now().Add(time.Hour)}, nil},
	} {
		for _, limit := range []int{0, 1, 2, 3} {
			c.q.Limit = limit
			require.Equal(t, c.want, x.all(c.q), "%+v", c.q)
		}
	}
	_, _, err := x.Predictions(t.Context(), Query{Cursor: "not one"})
	require.ErrorIs(t, err, ErrCursor)
	rows, err := x.Find(t.Context(), "", "a", 0)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, last.Sequence, rows[1].State.Sequence)
}

// A page never looks at more rows than it may, whatever it is asked for, and the pages
// together have everything.
func TestRareRowsTakeSeveralPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := filled(t, r.dir+"/view.db", 12_000, 1)
	defer func() { require.NoError(t, v.drop()) }()
	x := &viewed{View: v, r: r}
	state := x.state(predictionID(500))
	pages, q := 0, Query{Status: "completed", Source: "get3w", Model: "*-5*", Since: state.FirstSeen}
	count := 0
	for {
		page, next, err := v.Predictions(t.Context(), q)
		require.NoError(t, err)
		count, pages = count+len(page), pages+1
		if q.Cursor = next; next == "" {
			break
		}
	}
	require.Equal(t, (12_000-500)/20, count)
	require.Greater(t, pages, 1)
}

// Nothing is special in a glob but "*", in a prefix nothing at all, and a list has everything
// also when more models than a page may look at do not match.
func TestTextsOfAllKinds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := filled(t, r.dir+"/view.db", 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	x := &viewed{View: v, r: r}
	ids := []string{"", "%", "_", "?", "[a]", `\`, "*", "ü", "日本", "\U0010FFFF", "\U0010FFFFz", "'", "\x00", "z"}
	var msgs []message
	add := func(e bridge.Event) {
		seq := uint64(len(msgs) + 1)
		m := message{seq: seq, stored: foldtest.Noon, event: &e, at: fold.At{Sequence: seq, StoredAt: foldtest.Noon}}
		msgs = append(msgs, m)
	}
	template := *says(t, "x", finished)
	for _, id := range ids {
		e := template
		e.PredictionID, e.Model = "p"+id, "m/"+id
		add(e)
	}
	for i := range maxExamined + 500 {
		e := template
		e.PredictionID, e.Model = fmt.Sprint("q", i), fmt.Sprintf("n/%06d", i)
		add(e)
	}
	e := template
	e.PredictionID, e.Model = "rare", "zz/rare"
	add(e)
	foldDirectly(t, v, msgs)
	for _, id := range ids {
		var want, got []string
		for _, other := range ids {
			if strings.HasPrefix(other, id) {
				want = append(want, "p"+other)
			}
		}
		rows, err := v.Find(t.Context(), "", "p"+id, 100)
		require.NoError(t, err)
		for _, row := range rows {
			got = append(got, row.State.ID)
		}
		require.ElementsMatch(t, want, got, "%q", id)
		if id != "*" {
			require.ElementsMatch(t, want, x.all(Query{Model: "m/" + id + "*"}), "%q", id)
		}
	}
	require.Equal(t, []string{"rare"}, x.all(Query{Model: "*rare"}))
	require.Equal(t, []string{"rare"}, x.all(Query{Model: "*rare", Status: "completed", Limit: 1}))
}

// Records of events that expired without a consumer are listed by their cause.
func TestDeadLettersOfNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := filled(t, r.dir+"/view.db", 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	require.NoError(t, v.write(func(c *conn) error {
		_, err := foldDead(c, nil, block{msgs: []message{{row: &DeadLetter{Sequence: 1, Cause: bridge.DeadExpired, Stored: foldtest.Noon}}}})
		return err
	}))
	page, _, err := v.DeadLetters(t.Context(), DeadQuery{Cause: bridge.DeadExpired})
	require.NoError(t, err)
	require.Len(t, page, 1)
}
