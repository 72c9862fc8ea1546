package forward

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The vector of the specification's own libraries.
func TestSignatureVector(t *testing.T) {
	t.Parallel()
	keys, err := parseSecrets([][]byte{[]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")})
	require.NoError(t, err)
	timestamp, signature := sign(*keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 5), []byte(`{"test": 2432232314}`))
	require.Equal(t, "1614265330", timestamp)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", signature)
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	raw := "123456789012345678901234"
	key, err := parseSecret([]byte(raw))
	require.NoError(t, err)
	require.Equal(t, raw, string(key), "without the prefix it is the key itself")
	key, err = parseSecret([]byte("whsec_" + base64.StdEncoding.EncodeToString([]byte(raw))))
	require.NoError(t, err)
	require.Equal(t, raw, string(key))
	for secret, want := range map[string]string{
		"":                       "shorter than 24 bytes",
		raw[1:]:                  "shorter than 24 bytes",
		"whsec_":                 "shorter than 24 bytes",
		"whsec_c2hvcnQtYnV0LW9r": "shorter than 24 bytes",
		"whsec_!!" + raw:         "no base64",
		"v1,whsec_" + raw + raw:  "before whsec_",
		" whsec_" + raw + raw:    "white space",
		`"whsec_` + raw + `"`:    "quotes",
		"'" + raw + "'":          "quotes",
		"whsec_" + raw + "\n":    "white space",
		raw + "\n" + raw:         "line break",
		"whsk_" + raw:            "another algorithm",
		"v1," + raw:              "is a signature",
	} {
		err := CheckSecret([]byte(secret))
		require.ErrorContains(t, err, want)
		if secret != "" && secret != "whsec_" {
			require.NotContains(t, err.Error(), strings.TrimPrefix(secret, "whsec_"))
		}
	}
	_, err = New(Config{Name: "a", URL: "https://x"})
	require.ErrorContains(t, err, "there is no secret")
}

// Secrets change while events are handled; a bad one changes nothing.
func TestSecretsChangeWhileRunning(t *testing.T) {
	t.Parallel()
	signatures := make(chan string, 100)
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for signature := range strings.SplitSeq(r.Header.Get("Webhook-Signature"), " ") {
			for name, key := range map[string]string{"old": strings.Repeat("o", 24), "new": strings.Repeat("n", 24)} {
				at := r.Header.Get("Webhook-Timestamp")
				seconds, err := time.ParseDuration(at + "s")
				if _, want := sign([][]byte{[]byte(key)}, r.Header.Get("Webhook-Id"), time.Unix(int64(seconds.Seconds()), 0), body); err == nil && want == signature {
					signatures <- name
				}
			}
		}
		signatures <- "end"
	})
	b := setup(t, srv.URL, func(c *Config) { c.Secrets = [][]byte{[]byte(strings.Repeat("o", 24))} })
	signedBy := func() (names []string) {
		require.NoError(t, b.handle())
		for {
			name := next(t, signatures)
			if name == "end" {
				return names
			}
			names = append(names, name)
		}
	}
	require.Equal(t, []string{"old"}, signedBy())
	require.NoError(t, b.SetSecrets([][]byte{[]byte(strings.Repeat("n", 24)), []byte(strings.Repeat("o", 24))}))
	require.Equal(t, []string{"new", "old"}, signedBy(), "the first signs first")
	require.Error(t, b.SetSecrets([][]byte{[]byte("short")}))
	require.Error(t, b.SetSecrets(nil))
	require.Equal(t, []string{"new", "old"}, signedBy())
	done := make(chan error, 1)
	go func() { done <- b.Handle(context.Background(), newEvent("p")) }()
	require.NoError(t, b.SetSecrets([][]byte{[]byte(strings.Repeat("n", 24))}))
	require.NoError(t, next(t, done))
	for next(t, signatures) != "end" {
		continue // by which it was signed is left to chance
	}
	require.Equal(t, []string{"new"}, signedBy())
}

// The id, the time and the body can be told apart in one way only.
func TestWebhookIDHasNoDot(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a%2E1%2E2/completed/x", webhookID("a.1.2/completed/x"))
	ids := make(chan string, 2)
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) { ids <- r.Header.Get("Webhook-Id") })
	b := setup(t, srv.URL, nil)
	require.NoError(t, b.Handle(context.Background(), newEvent("a.1")))
	require.NoError(t, b.Handle(context.Background(), newEvent("a.1")))
	first := next(t, ids)
	require.NotContains(t, first, ".")
	require.Equal(t, first, next(t, ids), "the same for every attempt")
}
