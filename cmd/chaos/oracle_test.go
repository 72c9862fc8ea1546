package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

type stored struct {
	subject string
	header  nats.Header
	body    []byte
}

// stream is what a bridge stores of n webhooks that were acknowledged.
func stream(t *testing.T, n int) (*writer, *book, []stored) {
	t.Helper()
	w, b := testWriter("a"), newBook()
	var messages []stored
	for range n {
		i := b.begin()
		event := w.id(i) + "/completed/0123456789abcdef"
		require.True(t, b.acknowledge(i, w.id(i), time.Now(), resultStored, event))
		messages = append(messages, stored{
			subject: rig.EventsPrefix + "prediction.completed.x",
			header:  nats.Header{rig.HeaderEventID: {event}, rig.HeaderSubject: {w.id(i)}},
			body:    w.body(i),
		})
	}
	return w, b, messages
}

func auditOf(w *writer, b *book, messages []stored) findings {
	a := newAudit(w, b)
	for _, m := range messages {
		a.add(m.subject, m.header, m.body)
	}
	return a.result()
}

func TestAuditOfAWholeStream(t *testing.T) {
	w, b, messages := stream(t, 50)
	unanswered := b.begin() // stored, and the answer never came
	messages = append(messages, stored{rig.EventsPrefix + "x", nats.Header{rig.HeaderSubject: {w.id(unanswered)}}, w.body(unanswered)})
	b.begin() // and one that was never stored
	require.Equal(t, findings{Stored: 51}, auditOf(w, b, messages))
}

// The oracle sees each kind of damage: a check that cannot fail proves nothing.
func TestAuditFindsWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		change func(messages []stored) []stored
		want   findings
	}{
		"one is missing":      {func(m []stored) []stored { return append(m[:20:20], m[21:]...) }, findings{Stored: 49, Lost: 1}},
		"the end is missing":  {func(m []stored) []stored { return m[:40] }, findings{Stored: 40, Lost: 10}},
		"there is nothing":    {func([]stored) []stored { return nil }, findings{Lost: 50}},
		"one is there twice":  {func(m []stored) []stored { return append(m, m[7]) }, findings{Stored: 50, Twice: 1}},
		"one is there thrice": {func(m []stored) []stored { return append(m, m[7], m[7]) }, findings{Stored: 50, Twice: 1}},
		"a byte is changed": {func(m []stored) []stored {
			m[3].body[len(m[3].body)/2]++
			return m
		}, findings{Stored: 50, Corrupt: 1}},
		"a body is cut off": {func(m []stored) []stored {
			m[3].body = m[3].body[:100]
			return m
		}, findings{Stored: 50, Corrupt: 1}},
		"two bodies are exchanged": {func(m []stored) []stored {
			m[3].body, m[4].body = m[4].body, m[3].body
			return m
		}, findings{Stored: 50, Corrupt: 2}},
		"another event id": {func(m []stored) []stored {
			m[3].header.Set(rig.HeaderEventID, "other")
			return m
		}, findings{Stored: 50, Corrupt: 1}},
		"an event nobody sent": {func(m []stored) []stored {
			return append(m, stored{rig.EventsPrefix + "x", nats.Header{rig.HeaderSubject: {"chaos_a_00000050"}}, nil})
		}, findings{Stored: 50, Corrupt: 1}},
		"an event of another subject": {func(m []stored) []stored {
			m[3].subject = "elsewhere"
			return m
		}, findings{Stored: 49, Corrupt: 1, Lost: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			w, b, messages := stream(t, 50)
			found := auditOf(w, b, test.change(messages))
			require.NotEmpty(t, found.examples)
			found.examples = nil
			require.Equal(t, test.want, found)

			r := &report{counts: counts{Acknowledged: 50}, findings: found}
			r.judge(50, false, nil)
			require.NotEmpty(t, r.Wrong)
		})
	}
}

func TestBookFindsOddAnswers(t *testing.T) {
	const id = "chaos_a_00000000"
	type answer struct{ result, event string }
	for _, test := range []struct {
		answers []answer
		odd     bool
	}{
		{[]answer{{resultStored, id + "/completed/1"}, {resultDuplicate, id + "/completed/1"}}, false},
		{[]answer{{resultDuplicate, id + "/completed/1"}, {resultStored, id + "/completed/1"}}, false},
		{[]answer{{resultSpooled, id + "/completed/1"}, {resultStored, id + "/completed/1"}}, false},
		{[]answer{{resultStored, id + "/completed/1"}, {resultStored, id + "/completed/1"}}, true},
		{[]answer{{resultStored, id + "/completed/1"}, {resultDuplicate, id + "/completed/2"}}, true},
		{[]answer{{resultStored, "chaos_a_00000001/completed/1"}}, true},
		{[]answer{{"quarantined", ""}}, true},
		{[]answer{{"", ""}}, true},
	} {
		t.Run(fmt.Sprint(test.answers), func(t *testing.T) {
			b := newBook()
			b.begin()
			for _, a := range test.answers {
				b.acknowledge(0, id, time.Now(), a.result, a.event)
			}
			require.Equal(t, test.odd, len(b.strange) > 0, b.strange)
		})
	}
}

func TestJudge(t *testing.T) {
	right := report{counts: counts{Acknowledged: 10}}
	right.judge(10, false, nil)
	require.Empty(t, right.Wrong)
	for _, r := range []report{
		{counts: counts{Acknowledged: 9}},
		{counts: counts{Acknowledged: 10, Abandoned: 1}},
		{counts: counts{Acknowledged: 10}, findings: findings{Lost: 1}},
		{counts: counts{Acknowledged: 10}, findings: findings{Twice: 1}},
		{counts: counts{Acknowledged: 10}, findings: findings{Corrupt: 1}},
	} {
		r.judge(10, false, []string{"which"})
		require.Len(t, r.Wrong, 2, r)
	}
	damaged := report{counts: counts{Acknowledged: 10}, findings: findings{Lost: 1}}
	damaged.judge(10, true, nil)
	require.Empty(t, damaged.Wrong, "what a fault destroys is no bar")
}
