package bridge

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNames(t *testing.T) {
	t.Parallel()
	n := Names{}
	require.Equal(t, "HOOKSPAN_EVENTS", n.EventsStream())
	require.Equal(t, "HOOKSPAN_DEAD", n.DeadStream())
	require.Equal(t, "HOOKSPAN_ATTEMPTS", n.AttemptsBucket())
	require.Equal(t, []string{"hookspan.events.>", "hookspan.again.>"}, n.EventsSubjects())
	require.Equal(t, "hookspan.again.billing.>", n.AllAgain("billing"))
	require.Equal(t, "MINE_EVENTS", Names{Prefix: "mine"}.EventsStream())

	subject := n.Event("get3w", "completed", "black-forest-labs/flux-1.1-pro")
	require.Equal(t, "hookspan.events.get3w.prediction.completed.black-forest-labs.flux-1=2E1-pro", subject)
	require.Equal(t, "hookspan.dead.billing.get3w.prediction.completed.black-forest-labs.flux-1=2E1-pro",
		n.Dead("billing", subject))
	require.Equal(t, "hookspan.dead.billing.get3w.x", n.Dead("billing", "hookspan.again.billing.get3w.x"))
	require.Equal(t, "hookspan.dead.billing.other=2Ex", n.Dead("billing", "other.x"))
}

func TestArchivedSubject(t *testing.T) {
	t.Parallel()
	n := Names{}
	e := testEvent()
	require.Equal(t, n.Event(e.Source, e.Status, e.Model), n.SubjectOf(e))
	e.Type = TypeArchived
	subject := n.SubjectOf(e)
	require.Equal(t, "hookspan.events.get3w.outputs.archived.get3w.flux-dev", subject)
	parts, err := n.ParseEvent(subject)
	require.NoError(t, err)
	require.Equal(t, SubjectParts{Source: "get3w", Kind: KindArchived, Model: "get3w/flux-dev"}, parts)
	require.Equal(t, "HOOKSPAN_EVENTS", n.StreamOf(subject))
	require.Equal(t, "hookspan.dead.a.get3w.outputs.archived.get3w.flux-dev", n.Dead("a", subject))
	require.Equal(t, subject, n.Unspool("hookspan.spool."+strings.TrimPrefix(subject, "hookspan.")))
	consumer, again := n.ParseDue(n.Due("a", subject))
	require.Equal(t, "a", consumer)
	require.Equal(t, n.Again("a", subject), again)
	for _, other := range []string{"hookspan.events.get3w.outputs.lost.x", "hookspan.events.get3w.other.archived.x"} {
		_, err := n.ParseEvent(other)
		require.ErrorIs(t, err, ErrNotEvent)
	}
}

func TestEventSubjectOfOddModels(t *testing.T) {
	t.Parallel()
	twelve := strings.Join(strings.Split("abcdefghijkl", ""), "/")
	for model, want := range map[string]string{
		"":                          "=",
		"*":                         "=2A",
		">":                         "=3E",
		"..":                        "=2E=2E",
		"a//b":                      "a.=.b",
		twelve:                      "a.b.c.d.e.f.g.h=2Fi=2Fj=2Fk=2Fl",
		"a\x00":                     "a=00",
		"🙂":                         "=F0=9F=99=82",
		strings.Repeat("m", 10_000): strings.Repeat("m", 47) + "=-" + EncodeToken(strings.Repeat("m", 10_000))[49:],
	} {
		require.Equal(t, "hookspan.events.get3w.prediction.completed."+want, Names{}.Event("get3w", "completed", model), "%.40q", model)
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, ok := range []string{"a", "get3w", "0-_", strings.Repeat("a", 32)} {
		require.NoError(t, CheckName("source", ok))
	}
	for _, bad := range []string{"", "-a", "A", "a.b", "a b", "é", strings.Repeat("a", 33), strings.Repeat("a", 10_000)} {
		err := CheckName("source", bad)
		require.ErrorIs(t, err, ErrName)
		require.Less(t, len(err.Error()), 512)
	}
}

func FuzzEventSubject(f *testing.F) {
	for _, m := range []string{"", "google/nano-banana-pro/text-to-image", "a/b/c/d/e/f/g/h/i", "a//b", "/", "*/>"} {
		f.Add(m, "x/"+m)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		sa, sb := Names{}.Event("get3w", StatusCompleted, a), Names{}.Event("get3w", StatusCompleted, b)
		if (sa == sb) != (a == b) {
			t.Fatalf("%q and %q give %q and %q", a, b, sa, sb)
		}
		for token := range strings.SplitSeq(sa, ".") {
			if !legalToken.MatchString(token) {
				t.Fatalf("%q gives the illegal token %q", a, token)
			}
		}
		got, err := Names{}.ParseEvent(sa)
		if err != nil {
			t.Fatal(err)
		}
		if !got.ModelShortened && got.Model != a {
			t.Fatalf("%q comes back as %q", a, got.Model)
		}
		if got.Source != "get3w" || got.Status != StatusCompleted {
			t.Fatalf("%q comes back as %+v", sa, got)
		}
	})
}

func FuzzParseEvent(f *testing.F) {
	f.Add("hookspan.events.get3w.prediction.completed.get3w.flux-dev")
	f.Add("hookspan.events.get3w.outputs.archived.get3w.flux-dev")
	f.Add("hookspan.events.get3w.watch.set.=")
	f.Add("hookspan.events.get3w.watch.lost.get3w.flux-dev")
	f.Add("hookspan.events.get3w.outputs.other.get3w.flux-dev")
	f.Fuzz(func(t *testing.T, subject string) {
		p, err := Names{}.ParseEvent(subject)
		if err != nil || p.ModelShortened {
			return
		}
		again := Names{}.Event(p.Source, p.Status, p.Model)
		if p.Kind != KindPrediction {
			again = Names{}.OfKind(p.Kind, p.Source, p.Model)
		}
		if again != subject {
			t.Fatalf("%q is read as %+v, which is another subject", subject, p)
		}
	})
}

func TestSpooledSubjects(t *testing.T) {
	t.Parallel()
	n := Names{Prefix: "test"}
	for subject, stream := range map[string]string{
		n.Event("get3w", "completed", "a/b"): "TEST_EVENTS",
		n.Event("stuck", "x", ""):            "TEST_EVENTS",
		n.Quarantine("get3w", "syntax"):      "TEST_QUARANTINE",
		n.Refused("get3w", "x"):              "",
	} {
		require.Equal(t, stream, n.StreamOf(subject))
		rest := strings.TrimPrefix(subject, "test.")
		require.Equal(t, subject, n.Unspool("test.spool."+rest))
		require.Equal(t, subject, n.Unspool("test.spool.stuck."+rest), "set aside")
	}
	require.Empty(t, n.StreamOf("other.events.x"))
}
