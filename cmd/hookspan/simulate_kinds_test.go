package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/fakesender"
	"github.com/hookspan/hookspan/internal/freeport"
)

// kindSecret can be the secret of every kind, and pathSecret the end of an address.
const (
	kindSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	pathSecret = "a-token-of-the-path"
)

// sourceOf returns a source of a kind, and how to play its provider.
func sourceOf(t *testing.T, dir, kind string) (yaml string, args []string) {
	t.Helper()
	s, err := fakesender.Of(kind)
	require.NoError(t, err)
	secretAt, token := "file:"+filepath.Join(dir, "secret"), "file:"+filepath.Join(dir, "token")
	put(t, dir, "secret", kindSecret)
	put(t, dir, "token", pathSecret)
	options := []string{"kind: " + kind}
	if s.NeedsSecret() {
		options = append(options, `secrets: ["`+secretAt+`"]`)
	}
	if kind == "shared-secret" || kind == "cerebrium" {
		options = append(options, `path_token: "`+token+`"`)
	}
	if kind == "hmac" {
		options = append(options, "signature: {header: "+s.SignatureHeader()+"}")
	}
	args = []string{"--source", kind, "--secret", secretAt, "--seed", "7", "--count", "12", "--rate", "100", "--speed", "10", "--outputs", "1", "--output-bytes", "2KB", "--wait", "2m"}
	if s.Posts() {
		args = append(args, "--duplicate-every", "5")
	}
	if s.Signs() {
		args = append(args, "--forge-every", "2")
	}
	if !s.Answers() && s.CoversBody() {
		args = append(args, "--break-every", "4")
	}
	if !s.Answers() {
		return kind + ": {" + strings.Join(options, ", ") + "}", args
	}
	port, err := freeport.Next()
	require.NoError(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	api := fmt.Sprintf(`key: "%s", base_url: "http://%s", rate: 1000/s, poll_after: 1s`, token, address)
	switch kind {
	case "standard", "hmac", "shared-secret", "confirm", "poll":
		api += `, result: "/predictions/{id}"`
	case "fal":
		options = append(options, `keys_url: "http://`+address+fakesender.KeysPath+`"`)
	}
	args = append(args, "--api-listen", address)
	if s.Posts() {
		args = append(args, "--drop-every", "3")
	}
	return kind + ": {" + strings.Join(append(options, "api: {"+api+"}"), ", ") + "}", args
}

// Of every kind of provider that can be asked a third of the webhooks is lost; of the others none
// is. Every prediction ends, and each output is archived once. It runs before the tests that share
// the machine.
func TestSimulateEveryKind(t *testing.T) {
	const together = 5 // the bridge answers not many more that ask at once
	dir, store := t.TempDir(), filepath.Join(t.TempDir(), "archive")
	config := simulatedConfig + `
consumers:
  archive: {kind: archive, store: "file://` + store + `", hosts: [127.0.0.1], allow_private: true, retry: {first: 100ms}}
sources:
`
	args := map[string][]string{}
	for _, kind := range fakesender.Kinds() {
		var yaml string
		yaml, args[kind] = sourceOf(t, dir, kind)
		config += "  " + yaml + "\n"
	}
	p := serveHere(t, config)
	all := 0
	running := map[string]*simulation{}
	for at, kind := range fakesender.Kinds() {
		if at%together == 0 {
			for _, kind := range fakesender.Kinds()[at:min(at+together, len(args))] {
				running[kind] = startSimulation(t.Context(), t, append(args[kind], "--url", p.ready.Webhooks[kind]+pathOf(kind), "--api", p.ready.Admin)...)
			}
		}
		code, r := running[kind].end(t)
		sender, err := fakesender.Of(kind)
		require.NoError(t, err)
		t.Logf("%-13s sent %2d dropped %2d stored %2d quarantined %d forged %d polled %2d outputs %2d of %2d answers %v", kind, r.Sent, r.Dropped, r.Stored, r.Quarantined, r.Forged, r.Polled, r.Outputs.Archived, r.Outputs.Served, r.Answers)
		require.Equal(t, exitDone, code, "%s: %+v", kind, r)
		require.Equal(t, 12, r.Sent+r.Dropped, kind)
		require.Equal(t, sender.Posts(), r.Sent > 0, kind)
		require.Equal(t, sender.Answers(), r.Dropped > 0, kind)
		require.Equal(t, []int{r.Sent, r.Dropped}, []int{r.Stored + r.Quarantined, r.Polled}, "%s: %+v", kind, r)
		require.Equal(t, sender.Signs(), r.Forged > 0, kind)
		require.Positive(t, r.Outputs.Served, kind)
		require.Equal(t, r.Outputs.Served, r.Outputs.Archived, "%s: %+v", kind, r)
		all += r.Outputs.Served
	}
	require.Equal(t, all, manifests(t, store), "each is archived once")
	require.Equal(t, 0, p.stop(), p.logs)
}

// pathOf returns what follows the name of a source in its address.
func pathOf(kind string) string {
	if kind == "shared-secret" || kind == "cerebrium" {
		return "/" + pathSecret
	}
	return ""
}

// What the sender gives up during an outage is found by asking, and not wrong then.
func TestSimulateWhatIsGivenUpIsAskedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	yaml, args := sourceOf(t, dir, "luma")
	p := serveHere(t, smallConfig+"sources:\n  "+yaml+"\n")
	away := openDoor(t, "http://127.0.0.1:1")
	s := startSimulation(t.Context(), t, append(args, "--url", away.URL+"/webhooks/luma", "--api", p.ready.Admin, "--outputs", "0", "--drop-every", "0", "--duplicate-every", "0")...)
	code, r := s.end(t)
	require.Equal(t, exitDone, code, "%+v", r)
	require.Equal(t, []int{12, 12, 12, 0}, []int{r.Sent, r.Abandoned, r.Polled, r.Stored}, "%+v", r)
	require.Equal(t, map[string]int{"502": 12 * 4}, r.Answers)
	require.Contains(t, strings.Join(r.Notes, "\n"), "12 webhooks were given up after at most 4 attempts over 30ms")
	require.Equal(t, 0, p.stop(), p.logs)
}

// One webhook of every kind that a secret or the address proves is accepted, and others say why there
// is none.
func TestSendEveryKind(t *testing.T) {
	t.Parallel()
	dir, sources := t.TempDir(), ""
	for _, kind := range fakesender.Kinds() {
		yaml, _ := sourceOf(t, dir, kind)
		sources += "  " + yaml + "\n"
	}
	p := serveHere(t, smallConfig+"sources:\n"+sources)
	for _, kind := range fakesender.Kinds() {
		code, stdout, stderr := runVerb("send", "--kind", kind, "--secret", "file:"+filepath.Join(dir, "secret"), "--url", p.ready.Webhooks[kind]+pathOf(kind), "--status", "failed")
		sender, err := fakesender.Of(kind)
		require.NoError(t, err)
		if !sender.Posts() || kind == "fal" {
			require.Equal(t, exitUsage, code, kind)
			require.Contains(t, stderr, "--kind: a provider of kind "+kind)
			continue
		}
		require.Equal(t, exitDone, code, "%s: %s%s", kind, stdout, stderr)
		require.Regexp(t, `"result":"(stored|unconfirmed)"`, stdout, kind)
	}
	code, _, stderr := runVerb("send", "--kind", "luma", "--status", "created", "--url", p.ready.Webhooks["luma"])
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "tells of completed, failed only")
	file := filepath.Join(p.dir, "hookspan.yaml")
	code, stdout, stderr := runVerb("send", "--config", file, "--kind", "bfl", "--source", "bfl", "--secret", "file:"+filepath.Join(dir, "secret"))
	require.Equal(t, exitDone, code, stdout+stderr)
	require.Equal(t, 0, p.stop(), p.logs)
}
