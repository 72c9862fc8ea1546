package source

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

func causeOf(t *testing.T, err error) Cause {
	t.Helper()
	unusable, ok := errors.AsType[*UnusableError](err)
	require.True(t, ok, "%v", err)
	return unusable.Cause
}

// Each of these is authentic, quarantined, and has only one reading.
func TestAcceptLenient(t *testing.T) {
	t.Parallel()
	raw := func(prediction, status, body string) string {
		return bridge.NewEventID(prediction, status, []byte(body))
	}
	strict := func(prediction, status, canonical string) string {
		return bridge.NewEventID(prediction, status, []byte(canonical))
	}
	for name, c := range map[string]struct {
		body  string
		cause Cause
		id    func(body string) string
	}{
		"a lone surrogate somewhere": {`{"id":"p","status":"failed","error":"no","input":{"prompt":"\ud800"}}`, CauseSyntax, func(string) string { return strict("p", "failed", `["failed",null,"no"]`) }},
		"in a name":                  {`{"id":"p","status":"failed","error":"no","\udfff":1}`, CauseSyntax, func(string) string { return strict("p", "failed", `["failed",null,"no"]`) }},
		"in the error":               {`{"id":"p","status":"failed","error":"\ud83d"}`, CauseSyntax, func(body string) string { return raw("p", "failed", body) }},
		"in an output":               {`{"id":"p","status":"completed","outputs":["https://cdn/\udc00?s=1"]}`, CauseSyntax, func(body string) string { return raw("p", "completed", body) }},
		"in the status":              {`{"id":"p","status":"x\ud800"}`, CauseSyntax, func(body string) string { return raw("p", bridge.EncodeToken("x\ufffd"), body) }},
		"in the model":               {`{"id":"p","model":"a/\ud800","status":"processing"}`, CauseSyntax, func(body string) string { return raw("p", "processing", body) }},
		"not UTF-8":                  {"{\"id\":\"p\",\"status\":\"failed\",\"error\":\"no\",\"x\":\"\xff\"}", CauseEncoding, func(string) string { return strict("p", "failed", `["failed",null,"no"]`) }},
		"a name twice, elsewhere":    {`{"id":"p","status":"failed","error":"no","input":{"a":1,"a":2},"x":1,"x":2}`, CauseDuplicateKey, func(string) string { return strict("p", "failed", `["failed",null,"no"]`) }},
		"the same value twice":       {`{"id":"p","id":"p","status":"failed","error":"no"}`, CauseDuplicateKey, func(string) string { return strict("p", "failed", `["failed",null,"no"]`) }},
		"deep":                       {`{"id":"p","status":"failed","error":"no","x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, CauseDepth, func(string) string { return strict("p", "failed", `["failed",null,"no"]`) }},
		"old":                        {`{"id":"p","status":"failed","error":"no","completed_at":"2020-01-01T00:00:00Z"}`, CauseStale, func(string) string { return strict("p", "failed", `["failed",null,"no"]`) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource(t, secret)
			_, err := s.Accept(delivery(c.body))
			require.Equal(t, c.cause, causeOf(t, err))
			e, err := s.AcceptLenient(delivery(c.body))
			require.NoError(t, err)
			require.Equal(t, c.id(c.body), e.ID)
			require.Equal(t, c.body, string(e.Body), "byte for byte")
			requireCloudEvent(t, e)
			again, err := s.AcceptLenient(delivery(c.body))
			require.NoError(t, err)
			require.Equal(t, e, again)
			_, err = e.Prediction() // the view and Go consumers can read it
			require.NoError(t, err)
		})
	}
}

// Bodies with two readings, or none, keep their cause.
func TestLenientNeverGuesses(t *testing.T) {
	t.Parallel()
	s := newSource(t, secret)
	for body, cause := range map[string]Cause{
		`{"id":"a","id":"b","status":"failed"}`:                                                  CauseDuplicateKey,
		`{"id":"a","status":"failed","status":"completed"}`:                                      CauseDuplicateKey,
		`{"id":"a","status":"completed","outputs":["https://a/1"],"outputs":[]}`:                 CauseDuplicateKey,
		`{"id":"a","status":"failed","error":null,"error":"x"}`:                                  CauseDuplicateKey,
		`{"id":"a","model":"m/a","status":"failed","model":"m/b"}`:                               CauseDuplicateKey,
		`{"id":"a","status":"failed","completed_at":"2024-01-01T12:00:03Z","completed_at":null}`: CauseDuplicateKey,
		`{"status":"failed"}`:         CauseNoID,
		`{"id":7,"status":"failed"}`:  CauseNoID,
		`{"id":" ","status":"x"}`:     CauseNoID,
		`{"id":"a"}`:                  CauseNoStatus,
		`{"id":"a","status":"failed"`: CauseSyntax,
		`{"id":"a","status":"x"} {}`:  CauseSyntax,
		`[1]`:                         CauseSyntax,
		``:                            CauseSyntax,
		`{"id":"p","status":"` + strings.Repeat("\\ud800", 200) + `"}`: CauseTooLong,
		// Repeated names at any depth of the event's fields.
		`{"id":"a","status":"completed","outputs":[{"url":"https://a/1","url":"https://a/2"}]}`: CauseDuplicateKey,
		`{"id":"a","status":"completed","outputs":[{"url":"https://a/1","url":"https://a/1"}]}`: CauseDuplicateKey,
		`{"id":"a","status":"completed","outputs":[{"x":[{"\ud800":1,"\ud801":2}]}]}`:           CauseDuplicateKey,
		`{"id":"a","status":"completed","outputs":["\ud800",{"u\u0072l":1,"url":2}]}`:           CauseDuplicateKey,
		`{"id":"a","status":"failed","error":{"a":1,"a":2}}`:                                    CauseDuplicateKey,
		`{"id":"a","status":"failed","error":{"a":[[{"b":{"c":1,"c":1}}]]}}`:                    CauseDuplicateKey,
		`{"id":"a","status":"failed","model":{"a":1,"a":2}}`:                                    CauseDuplicateKey,
		`{"id":"a","status":"failed","completed_at":[{"a":1,"a":2}]}`:                           CauseDuplicateKey,
		`{"id":"a","status":"failed","error":"x","error":{"a":1,"a":2}}`:                        CauseDuplicateKey,
		// Ids that would become one.
		`{"id":"p\ud800","status":"failed"}`:  CauseEncoding,
		`{"id":"p\ud801","status":"failed"}`:  CauseEncoding,
		"{\"id\":\"p\xff\",\"status\":\"x\"}": CauseEncoding,
	} {
		_, err := s.AcceptLenient(delivery(body))
		require.Equal(t, cause, causeOf(t, err), body)
	}
	forged := delivery(`{"id":"a\ud800","status":"failed"}`)
	forged.Body = append(forged.Body, ' ')
	_, err := s.AcceptLenient(forged)
	require.ErrorIs(t, err, ErrNotAuthentic)
}

// Two deliveries that differ only in replaced bytes are two events.
func TestLenientKeepsDeliveriesApart(t *testing.T) {
	t.Parallel()
	s := newSource(t, secret)
	a, err := s.AcceptLenient(delivery(`{"id":"p","status":"failed","error":"\ud800"}`))
	require.NoError(t, err)
	b, err := s.AcceptLenient(delivery(`{"id":"p","status":"failed","error":"\ud801"}`))
	require.NoError(t, err)
	require.NotEqual(t, a.ID, b.ID)
}

// A body that is sound is the same event by both ways.
func TestLenientAgreesWithStrict(t *testing.T) {
	t.Parallel()
	s := newSource(t, secret)
	for _, body := range []string{documented, `{"id":"p","status":"processing"}`, `{"id":"p\ud83d\ude00","status":"failed","error":{"b":1,"a":[]}}`} {
		want, err := s.Accept(delivery(body))
		require.NoError(t, err)
		got, err := s.AcceptLenient(delivery(body))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
