package erase

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// A text names a prediction by its whole id: in quotes, however they are escaped; at the
// beginning of an event's id; or, if the id is not short, as a word. Longer ids are others.
func TestMentions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{"id":"pred_abcdef"}`:                         true,
		`{"id":"pred_\u0061bcdef","x`:                  true,
		`broken " {"id":"pred_abcdef`:                  true,
		`event "pred_abcdef/completed/0123456789abcd"`: true,
		`see pred_abcdef: it failed`:                   true,
		`{"id":"pred_abcdefg"}`:                        false,
		`xpred_abcdef`:                                 false,
		`{"id":"pred_abcde"}`:                          false,
		`{"id":"7"}`:                                   true,
		`"7/completed/0123456789abcd"`:                 true,
		`it took 7 seconds`:                            false,
		`{"n":7}`:                                      false,
		`{"id":"pred_abcdef.5"}`:                       false,
		`{"id":"pred_abcdef:2","status":`:              false,
		`broken " {"id":"pred_abcdef~b|c","x`:          false,
		`{"id":"pred_abcdef.5","of":"pred_abcdef"}`:    true,
		`"pred_abcdef.":"pred_abcdef"`:                 true,
		`{"x":"id:pred_abcdef"}`:                       true,
		`{"x":"https://cdn/pred_abcdef.png"}`:          true,
		`{"x":"pred_abcdef.5 comes of pred_abcdef"}`:   true,
		`{"id":"a/b c"}`:                               true,
		`{"id":"a\/b c"}`:                              true,
		`a/b c`:                                        false,
		"":                                             false,
		`"`:                                            false,
		`"\`:                                           false,
		`""`:                                           false,
	} {
		named := func(id string) bool { return id == "pred_abcdef" || id == "7" || id == "a/b c" }
		require.Equal(t, want, mentions(text, named), text)
	}
}

// A megabyte of quotes that never end is not searched for strings to its end, but for words. JSON
// of that size is.
func TestMentionsInAFlood(t *testing.T) {
	t.Parallel()
	named := func(id string) bool { return id == "pred_abcdef" || id == "7" }
	flood := strings.Repeat(`\"`, 1<<19)
	require.True(t, mentions(flood+" pred_abcdef", named))
	require.False(t, mentions(flood+` {"id":"7"}`, named))
	require.True(t, mentions(`["`+strings.Repeat(`abc\n","`, 1<<17)+`"],"id":"7"`, named))
	require.True(t, mentions(strings.Repeat(`"`, 1<<20)+`"7"`, named))
}

// A message that says whose event it is, is of that prediction alone, whatever its body says.
func TestMessagesOfAPrediction(t *testing.T) {
	t.Parallel()
	var n bridge.Names
	s := newSelection([]Target{{"get3w", "pred/ä 1"}, {"other", "pred_of_other"}}, func(name string) bool { return name == "acme" })
	event := func(source, id string) bridge.Header {
		return (&bridge.Event{ID: id + "/completed/0123456789abcdef", Source: source, Type: "t", PredictionID: id, Status: "completed"}).Header()
	}
	tenant := bridge.Header{"hookspan-query-tenant": {"acme"}}
	for name, c := range map[string]struct {
		m    Message
		want bool
	}{
		"event":                      {Message{"hookspan.events.get3w.prediction.completed.=", event("get3w", "pred/ä 1"), nil}, true},
		"copy":                       {Message{"hookspan.again.team.get3w.prediction.completed.=", event("get3w", "pred/ä 1"), nil}, true},
		"event of another source":    {Message{"", event("other", "pred/ä 1"), nil}, false},
		"event that speaks of it":    {Message{"", event("other", "pred_2"), []byte(`"pred_of_other"`)}, false},
		"event with the tenant":      {Message{"hookspan.events.x", tenant, nil}, false},
		"poll":                       {Message{n.PollsSubject(bridge.PredictionKey(bridge.KeyPoll, "get3w", "pred/ä 1")), nil, nil}, true},
		"poll of another source":     {Message{n.PollsSubject(bridge.PredictionKey(bridge.KeyPoll, "other", "pred/ä 1")), nil, []byte(`{"id":"pred/ä 1"}`)}, false},
		"kept open of another":       {Message{n.PollsSubject(bridge.PredictionKey(bridge.KeyOpen, "get3w", "pred_of_other")), nil, []byte(`{"id":"pred_of_other"}`)}, false},
		"quarantined of a longer id": {Message{n.Quarantine("other", "no_status"), nil, []byte(`{"id":"pred_of_other.5"}`)}, false},
		"poll of another":            {Message{n.PollsSubject(bridge.PredictionKey(bridge.KeyPoll, "get3w", "pred/ä 12")), nil, nil}, false},
		"submission":                 {Message{n.PollsSubject("submit.0123"), nil, []byte(`{"prediction":"pred_of_other"}`)}, true},
		"attempts":                   {Message{n.AttemptsSubject("team.0123"), nil, []byte(`{"event":"pred_of_other/completed/0123456789abcdef"}`)}, true},
		"quarantined":                {Message{n.Quarantine("other", "syntax"), nil, []byte(`{"id":"pred_of_other",`)}, true},
		"quarantined, other source":  {Message{n.Quarantine("get3w", "syntax"), nil, []byte(`{"id":"pred_of_other",`)}, false},
		"unconfirmed":                {Message{n.Unconfirmed("other", "pred_of_other"), nil, []byte(`{"id":"pred_of_other"}`)}, true},
		"unconfirmed, other source":  {Message{n.Unconfirmed("get3w", "pred_of_other"), nil, []byte(`{"id":"pred_of_other"}`)}, false},
		"refused, in a header":       {Message{n.Refused("other", "not_hex"), bridge.Header{"hookspan-header-x": {"id=pred_of_other;"}}, nil}, true},
		"refused, escaped":           {Message{n.Refused("other", "not_hex"), bridge.Header{"hookspan-header-x": {"%22pred_of_other%22"}}, nil}, true},
		"quarantined for the tenant": {Message{n.Quarantine("get3w", "no_id"), tenant, nil}, true},
		"alarm":                      {Message{n.Alarm("x"), nil, []byte(`{"text":"prediction pred_of_other is lost"}`)}, true},
		"alarm of another":           {Message{n.Alarm("x"), nil, []byte(`{"text":"prediction pred_of_others is lost"}`)}, false},
	} {
		require.Equal(t, c.want, s.Matches(n, c.m), name)
	}
}

func FuzzMentions(f *testing.F) {
	f.Add("pred_abcdef", `{"id":`, `,"x`)
	f.Add("a\"b\x00ä", `"`, `\`)
	f.Fuzz(func(t *testing.T, id, before, after string) {
		quoted, err := json.Marshal(id)
		if err != nil || id == "" || len(id) > bridge.MaxPredictionID || id != strings.ToValidUTF8(id, "") {
			return
		}
		// A quote that is escaped is part of another text.
		if strings.HasSuffix(before, `\`) {
			return
		}
		named := func(got string) bool { return got == id }
		require.True(t, mentions(before+string(quoted)+after, named))
	})
}
