package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/signing"
)

func TestSignatureExplain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	body := `{"id":"pred_1","status":"failed","error":"no"}`
	put(t, dir, "body.json", body)
	put(t, dir, "pasted.json", body+"\n")
	mac := signing.Sign([]byte(body), []byte(secret))
	put(t, dir, "headers", "> POST /webhooks/get3w HTTP/1.1\r\n> Host: x\r\n> x-get3w-signature: "+mac+"\r\n> \r\nno header any more\n")
	put(t, dir, "broken", "Host: x\n"+secret+"\n")
	put(t, dir, "spaced", " "+secret+"\t\n")
	put(t, dir, "quoted", `"`+secret+`"`)
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, c := range map[string]struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"matches":          {[]string{in("body.json"), "--headers", in("headers")}, 0, "would become the event pred_1/failed/", ""},
		"by a flag":        {[]string{in("body.json"), "-H", "X-Get3W-Signature: " + mac}, 0, "matches", ""},
		"one of several":   {[]string{in("body.json"), "-H", "X-Get3W-Signature: " + mac, "--secret", "file:" + in("headers"), "--secret", "env:GET3W_WEBHOOK_SECRET"}, 1, "the signature matches", "--secret: the secret"},
		"white space":      {[]string{in("body.json"), "--headers", in("headers"), "--secret", "file:" + in("spaced")}, 1, "secret_whitespace", "cannot be used"},
		"quotes":           {[]string{in("body.json"), "--headers", in("headers"), "--secret", "file:" + in("quoted")}, 1, "secret_prefix", "cannot be used"},
		"a line break":     {[]string{in("pasted.json"), "--headers", in("headers")}, 1, "the signature does not match: body_changed", ""},
		"no header":        {[]string{in("body.json")}, 1, "no_signature", ""},
		"as JSON":          {[]string{in("pasted.json"), "--headers", in("headers"), "--json"}, 1, `"cause":"body_changed"`, ""},
		"no file":          {[]string{in("none")}, 1, "", "the body: open"},
		"no header at all": {[]string{in("body.json"), "-H", secret}, 2, "", "write Name: value"},
		"no headers":       {[]string{in("body.json"), "--headers", in("broken")}, 1, "", "line 2: it is no header"},
		"no secret":        {[]string{in("body.json"), "--secret", "env:NONE"}, 1, "", "--secret: the secret env:NONE is empty or not set"},
		"an open secret":   {[]string{in("body.json"), "--secret", secret}, 2, "", "env:NAME or file:PATH"},
		"no kind":          {[]string{in("body.json"), "--kind", "x"}, 2, "", "use one of assemblyai"},
		"both of stdin":    {[]string{"--headers", "-"}, 2, "", "cannot both"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runVerb(append([]string{"signature", "explain"}, c.args...)...)
			require.Equal(t, c.code, code, stdout+stderr)
			require.Contains(t, stdout, c.stdout)
			require.Contains(t, stderr, c.stderr)
			require.NotContains(t, stdout+stderr, secret)
			require.NotContains(t, stdout+stderr, mac)
		})
	}
}

func FuzzReadHeaders(f *testing.F) {
	for _, text := range []string{"", "A: b\n", "> A: b\r\n\r\nx", ":", "a b: c", "POST / HTTP/1.1\nA:\n", "\x00:\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		header := http.Header{}
		if err := readHeaders(header, []byte(text)); err != nil {
			require.Contains(t, err.Error(), "Name: value")
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); len(line) > 40 {
					require.NotContains(t, err.Error(), line)
				}
			}
		}
		for name, values := range header {
			require.NotEmpty(t, name)
			require.NotEmpty(t, values)
			require.NotContains(t, name, "\n")
		}
	})
}
