package app

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/signing"
)

func TestExplainSignature(t *testing.T) {
	t.Parallel()
	const text = `{"id":"p","status":"completed","completed_at":"2026-01-01T00:00:00Z"}`
	key := []byte("the-secret-of-the-sender")
	now := time.Date(2026, 1, 1, 0, 10, 0, 0, time.UTC)
	signed := func(body string) http.Header { return http.Header{signing.Header: {signing.Sign([]byte(body), key)}} }
	for name, c := range map[string]struct {
		header http.Header
		body   string
		secret string
		maxAge time.Duration
		want   SignatureReport
		detail string
	}{
		"matches":       {signed(text), text, string(key), time.Hour, SignatureReport{Matches: true, Accepted: true}, ""},
		"too old":       {signed(text), text, string(key), time.Minute, SignatureReport{Matches: true, Cause: "stale"}, "after the completion"},
		"no JSON":       {signed("{"), "{", string(key), 0, SignatureReport{Matches: true, Cause: "syntax"}, "EOF"},
		"a line break":  {signed(text), text + "\n", string(key), 0, SignatureReport{Cause: "body_changed"}, "without white space"},
		"wrong secret":  {signed(text), text, "another secret", 0, SignatureReport{Cause: "wrong_signature"}, "no secret of env:MINE made"},
		"no header":     {http.Header{}, text, string(key), 0, SignatureReport{Cause: "no_signature"}, "is missing"},
		"another kind":  {http.Header{"Webhook-Signature": {"v1,xxxx"}}, text, string(key), 0, SignatureReport{Cause: "no_signature"}, "Standard Webhooks"},
		"too many":      {http.Header{signing.Header: {"a", "b"}}, text, string(key), 0, SignatureReport{Cause: "several_signatures"}, "more than once"},
		"a whole value": {http.Header{signing.Header: {"sha256=" + signing.Sign([]byte(text), key)}}, text, string(key), 0, SignatureReport{Cause: "signature_prefix"}, "is right but for"},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := ExplainSignature(SignedDelivery{Kind: "get3w", Secrets: [][]byte{[]byte(c.secret)}, Place: "env:MINE", MaxAge: c.maxAge, Header: c.header, Body: []byte(c.body), At: now})
			require.NoError(t, err)
			require.Equal(t, c.want.Accepted, report.Event != "")
			require.Contains(t, report.Detail, c.detail)
			require.NotContains(t, report.Detail, string(key))
			report.Detail, report.Event = "", ""
			require.Equal(t, c.want, report)
		})
	}
	_, err := ExplainSignature(SignedDelivery{Kind: "none"})
	require.ErrorContains(t, err, "use one of assemblyai")
}
