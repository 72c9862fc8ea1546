package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

var fenced = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```")

// snippets are the pieces of a document that are written in the language.
func snippets(t *testing.T, document, language string) (out []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(document)))
	require.NoError(t, err)
	for _, found := range fenced.FindAllStringSubmatch(string(text), -1) {
		if found[1] == language {
			out = append(out, found[2])
		}
	}
	return out
}

// The configuration of nats-server in the guide starts a server that a bridge can use,
// and whose other account can read its consumer and nothing else.
func TestAccountsOfTheGuide(t *testing.T) {
	var text string
	for _, one := range snippets(t, "docs/operations.md", "") {
		if strings.Contains(one, "accounts {") {
			text = one
		}
	}
	require.NotEmpty(t, text)
	store := t.TempDir()
	text = strings.ReplaceAll(text, "/var/lib/nats", store)
	t.Setenv("HOOKSPAN_PASSWORD", "own-password")
	t.Setenv("SEARCH_PASSWORD", "search-password")
	file := filepath.Join(t.TempDir(), "nats.conf")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	opts, err := server.ProcessConfigFile(file)
	require.NoError(t, err)
	require.Equal(t, store, opts.StoreDir)
	opts.Host, opts.Port, opts.NoSigs, opts.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(opts)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(patience))

	dir := t.TempDir()
	config := `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {url: "` + s.ClientURL() + `", user: hookspan, password: "file:password", events: {max_bytes: 64MiB}}
consumers: {archive: {enabled: false}, search: {kind: pull}}
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte("own-password"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(config), 0o600))
	out, err := command(t, dir, "provision", "--config", "hookspan.yaml").CombinedOutput()
	require.NoError(t, err, "%s", out)
	p := serve(t, dir, config)
	status, answer := p.post(`{"id":"pred_1","status":"completed"}`)
	require.Equal(t, 200, status, answer)

	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo("search", "search-password"), nats.Timeout(patience), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	c, err := js.Consumer(t.Context(), "HOOKSPAN_EVENTS", "search")
	require.NoError(t, err)
	m, err := c.Next(jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	event, err := bridge.DecodeEvent(bridge.Header(m.Headers()), m.Data())
	require.NoError(t, err)
	require.Equal(t, "pred_1", event.PredictionID)
	// It waits as the guide says, and comes again.
	meta, err := m.Metadata()
	require.NoError(t, err)
	wait := &nats.Msg{Subject: fmt.Sprint("hookspan.later.search.", meta.Sequence.Stream), Header: nats.Header(event.Header()), Data: event.Body}
	_, err = js.PublishMsg(t.Context(), wait, jetstream.WithScheduleAt(time.Now().Add(time.Second)),
		jetstream.WithScheduleTarget(bridge.Names{}.Due("search", m.Subject())))
	require.NoError(t, err)
	require.NoError(t, m.DoubleAck(t.Context()))
	again, err := c.Next(jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	require.True(t, bridge.Names{}.IsAgain(again.Subject()), again.Subject())
	require.NoError(t, nc.Publish("hookspan.events.get3w.prediction.completed.forged", nil))
	require.NoError(t, nc.FlushTimeout(patience))
	own, err := nats.Connect(s.ClientURL(), nats.UserInfo("hookspan", "own-password"), nats.Timeout(patience))
	require.NoError(t, err)
	t.Cleanup(own.Close)
	js, err = jetstream.New(own)
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.EqualValues(t, 2, stream.CachedInfo().State.Msgs, "the event and its copy: nothing else came from that account")
	p.stop()
}

// Every configuration file in the documents can be used.
func TestConfigurationsOfTheDocuments(t *testing.T) {
	t.Parallel()
	secretFile := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secretFile, []byte(strings.Repeat("s", 32)), 0o600))
	found := 0
	documents := []string{"README.md", "docs/cli.md", "docs/configuration.md", "docs/first-steps.md", "docs/operations.md", "docs/predictions.md", "docs/why.md", "docs/write-a-consumer.md"}
	for name := range recipePrograms {
		documents = append(documents, "docs/recipes/"+name)
	}
	for _, document := range documents {
		for _, text := range snippets(t, document, "yaml") {
			found++
			text = regexp.MustCompile(`file:/run/secrets/[a-z0-9-]+`).ReplaceAllString(text, "file:"+secretFile)
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(text), 0o600))
			cmd := command(t, dir, "config", "check", "--no-secrets", "hookspan.yaml")
			cmd.Env = append(cmd.Env, "GET3W_API_KEY=key-of-the-api")
			for _, name := range []string{"BILLING", "GALLERY", "SUPPORT", "FLASK", "EXPRESS"} {
				cmd.Env = append(cmd.Env, name+"_SECRET="+strings.Repeat("s", 32))
			}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s:\n%s\n%s", document, text, out)
		}
	}
	require.NotZero(t, found)
}
