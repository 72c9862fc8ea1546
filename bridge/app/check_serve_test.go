package app

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/certificate/certificatetest"
)

// refusal is a configuration that serve does not start with, and the words by which it says so.
type refusal struct{ text, words string }

// refusals has every kind of them that can be seen without a change. The file "text" and the
// folder "dir" are in the folder at.
func refusals(t *testing.T, at string) map[string]refusal {
	cert, key := certificatetest.Issue(t, at, 1)
	in := func(name string) string { return filepath.Join(at, name) }
	put := func(name, text string) string {
		require.NoError(t, os.MkdirAll(filepath.Dir(in(name)), 0o700))
		require.NoError(t, os.WriteFile(in(name), []byte(text), 0o600))
		return in(name)
	}
	text := put("text", "no certificate, no seed")
	pasted, token := put("pasted", `"`+sampleSecret+`"`), put("token", "a token with spaces")
	forward := func(secrets string) string {
		return freePorts + "  post: {kind: forward, url: \"https://svc.example.com\", " + secrets + "}\n"
	}
	forwarding := func(secrets string) string {
		return strings.Replace(forward(secrets), "consumers: {archive: {kind: archive}, handle: {kind: exec, command: [/bin/true]}}\n", "consumers:\n", 1)
	}
	source := func(keys string) string { return freePorts + "sources: {get3w: {" + keys + "}}\n" }
	archive := func(store string) string {
		return strings.Replace(freePorts, "archive: {kind: archive}", "archive: {store: \""+store+"\"}", 1)
	}
	external := func(keys string) string {
		return "ingress: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:0\"}\nnats: {url: \"nats://127.0.0.1:1\", " + keys + "}\n"
	}
	listener := func(old, keys string) string { return strings.Replace(freePorts, old, old+", "+keys, 1) }
	elsewhere := func(part string) string {
		return strings.Replace(freePorts, part+": {listen: \"127.0.0.1:0\"", part+": {listen: \"192.0.2.1:0\"", 1)
	}
	broken := func(part string, folder bool) string {
		name := "data-" + strings.ReplaceAll(part, "/", "-")
		if folder {
			require.NoError(t, os.MkdirAll(in(name+"/"+part), 0o700))
		} else {
			put(name+"/"+part, "x")
		}
		return "data_dir: " + in(name) + "\n" + freePorts
	}
	put("newer/format", "99\n")
	put("garbage/format", "what\n")
	return map[string]refusal{
		"file of a secret":           {source("secrets: [\"file:/no/such\"]"), "sources.get3w.secrets: reading a secret: open /no/such: no such file or directory"},
		"secret in quotes":           {source("secrets: [\"file:" + pasted + "\"]"), "sources.get3w.secrets: the secret file:" + pasted + " cannot be used: it stands in quotes"},
		"path token":                 {source("secrets: [env:GET3W_WEBHOOK_SECRET], path_token: env:NOPE"), "sources.get3w.path_token: the secret env:NOPE is empty or not set"},
		"path token with spaces":     {source("secrets: [env:GET3W_WEBHOOK_SECRET], path_token: \"file:" + token + "\""), "sources.get3w.path_token: it must be of letters"},
		"secret of forward":          {forwarding("secret: env:NOPE"), "consumers.post.secret: the secret env:NOPE is empty or not set"},
		"secrets of forward":         {forwarding("secrets: [env:NOPE]"), "consumers.post.secrets: the secret env:NOPE is empty or not set"},
		"unusable secret of forward": {forwarding("secret: \"file:" + put("whsec", "whsec_!!!") + "\""), "consumers.post.secret: file:" + in("whsec") + ": "},
		"short secret of forward":    {forwarding("secret: \"file:" + put("short", "a-secret-of-22-bytes-.") + "\""), "consumers.post.secret: file:" + in("short") + ": the secret is shorter than 24 bytes"},
		"password of NATS":           {external("user: a, password: env:NOPE"), "nats.password: the secret env:NOPE is empty or not set"},
		"seed of NATS":               {external("nkey: " + text), "reading the nkey seed: "},
		"authority of NATS":          {external("tls: {ca: " + text + "}"), "reading the files of nats.tls: "},
		"certificate of NATS":        {external("tls: {cert: " + cert + ", key: " + text + "}"), "reading the files of nats.tls: "},
		"certificate":                {listener(`ingress: {listen: "127.0.0.1:0"`, "tls: {cert: "+text+", key: "+key+"}"), "reading the certificate: " + text + " and " + key},
		"certificate of operators":   {listener(`admin: {listen: "127.0.0.1:0"`, "tls: {cert: /no/such, key: "+key+"}"), "reading the certificate: open /no/such"},
		"token":                      {listener(`admin: {listen: "127.0.0.1:0"`, "tokens: [{name: a, scopes: [read], secret: \"file:"+token+"\"}]"), "token a: its secret has a space"},
		"address of another host":    {elsewhere("ingress"), "192.0.2.1:0: bind: cannot assign requested address: free that address or choose another one with ingress.listen"},
		"address of operators":       {elsewhere("admin"), "192.0.2.1:0: bind: cannot assign requested address: free that address or choose another one with admin.listen"},
		"data folder is a file":      {"data_dir: " + text + "\n" + freePorts, text + " is not a folder: choose a folder that this user may write with data_dir"},
		"data folder in a file":      {"data_dir: " + text + "/x\n" + freePorts, text + " is not a folder: choose a folder that this user may write with data_dir"},
		"data folder of the future":  {"data_dir: " + in("newer") + "\n" + freePorts, "data folder " + in("newer") + " has format 99"},
		"format that is none":        {"data_dir: " + in("garbage") + "\n" + freePorts, "not a number"},
		"lock":                       {broken("lock", true), "lock is not a file: give it back to this user"},
		"journal":                    {broken("journal", false), "journal is not a folder: give it back"},
		"streams":                    {broken("nats", false), "nats is not a folder: give it back"},
		"passwords":                  {broken("secrets", false), "secrets is not a folder: give it back"},
		"view":                       {broken("view.db.lock", true), "view.db.lock is not a file: give it back"},
		"record of consumers":        {broken("consumers.json", true), "consumers.json is not a file: give it back"},
		"working folders":            {broken("exec", false), "exec is not a folder: give it back"},
		"working folder":             {broken("exec/handle", false), "exec/handle is not a folder: give it back"},
		"archive in a file":          {archive("file://" + text + "/x"), "store: " + text + " is not a folder: use another one"},
		"archive is a file":          {archive("file://" + text), "store: " + text + " is not a folder: use another one"},
		"archive without a region":   {archive("s3://bucket/x"), "the region is not known"},
	}
}

// What serve refuses the check of the configuration refuses too, in the same words, and without a
// change. Without a bridge it is a problem for the doctor.
func TestConfigCheckSaysWhatServeWouldRefuse(t *testing.T) {
	t.Parallel()
	getenv := func(name string) (string, bool) {
		if name == "GET3W_WEBHOOK_SECRET" {
			return sampleSecret, true
		}
		return "", false
	}
	for name, c := range refusals(t, t.TempDir()) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(c.text, "data_dir") {
				c.text = "data_dir: " + filepath.Join(t.TempDir(), "data") + "\n" + c.text
			}
			cfg, doc, err := config.LoadDocument(configFile(t, c.text), config.Flags{})
			require.NoError(t, err)
			said := doc.Join(Lacks(t.Context(), cfg, getenv))
			require.ErrorContains(t, said, c.words)
			requireProblem(t, Doctor(t.Context(), cfg, getenv), c.words)
			_, err = os.Stat(filepath.Join(cfg.DataDir, "lock"))
			require.True(t, err != nil || name == "lock", "the check makes nothing")
			require.ErrorContains(t, startAndStop(cfg, getenv), c.words)
		})
	}
}

// requireProblem wants a problem that says the words, which may begin with its subject.
func requireProblem(t *testing.T, d adminapi.Doctor, words string) {
	t.Helper()
	_, why, _ := strings.Cut(words, ": ")
	require.True(t, slices.ContainsFunc(d.Findings, func(f adminapi.Finding) bool {
		return f.Level == adminapi.FindingProblem && strings.Contains(f.Why, cmp.Or(why, words))
	}), "%s: %+v", words, d)
}

// startAndStop returns the error of a start.
func startAndStop(cfg *config.Config, getenv func(string) (string, bool)) error {
	a, err := New(cfg, Options{Getenv: getenv, Log: io.Discard})
	if err != nil {
		return err
	}
	return errors.Join(a.Start(a.ctx), a.Stop())
}

// What another process has is a warning: it may be the bridge that the configuration is of.
func TestConfigCheckWarnsOfWhatIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	getenv := func(string) (string, bool) { return sampleSecret, true }
	for _, part := range []string{"ingress", "admin", "nats"} {
		text := strings.Replace(freePorts, part+": {listen: \"127.0.0.1:0\"", part+": {listen: \""+taken.Addr().String()+"\"", 1)
		cfg, doc, err := config.LoadDocument(configFile(t, "data_dir: "+t.TempDir()+"\n"+text), config.Flags{})
		require.NoError(t, err)
		require.Empty(t, Lacks(t.Context(), cfg, getenv))
		words := "address already in use: free that address or choose another one with " + part + ".listen"
		require.ErrorContains(t, doc.Join(Warnings(cfg, "")), words)
		require.ErrorContains(t, startAndStop(cfg, getenv), words)
	}
	require.NoError(t, taken.Close())

	dir := t.TempDir()
	a, err := newTestApp(t, dir, freePorts)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop()) }()
	cfg, doc, err := config.LoadDocument(configFile(t, "data_dir: "+dir+"\n"+freePorts), config.Flags{})
	require.NoError(t, err)
	require.Empty(t, Warnings(cfg, a.opts.File), "it is that bridge")
	require.ErrorContains(t, doc.Join(Warnings(cfg, "/other.yaml")), "and runs with "+a.opts.File)
	require.ErrorIs(t, startAndStop(cfg, getenv), ErrFolderInUse)
}
