package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/certificate/certificatetest"
)

// Serve takes what the check passes: the check names, with its line, everything on the machine
// without which serve would not start, or would do less.
func TestConfigCheckLooksAtTheMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "text", "no certificate, no seed")
	put(t, dir, "empty", "")
	put(t, dir, "token", "a token with spaces")
	for _, name := range []string{"old", "newer"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	put(t, filepath.Join(dir, "newer"), "format", "99\n")
	cert, _ := certificatetest.Issue(t, dir, 1)
	at := func(name string) string { return filepath.Join(dir, name) }
	forward := func(secret string) string {
		return "consumers: {post: {kind: forward, url: \"https://svc.example.com\", secret: " + secret + "}}\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"secret of forward":         {forward("env:NOPE"), "consumers.post.secret: the secret env:NOPE is empty or not set"},
		"secret of forward, file":   {forward("file:" + at("none")), "consumers.post.secret: reading a secret"},
		"secret of forward, empty":  {forward("file:" + at("empty")), "is empty or not set"},
		"secrets of a source":       {"sources: {a: {secrets: [env:NOPE, env:NEITHER]}}\n", "sources.a.secrets: none of [env:NOPE env:NEITHER] is set"},
		"secrets of a source, file": {"sources: {a: {secrets: [env:GET3W_WEBHOOK_SECRET, \"file:" + at("none") + "\"]}}\n", "sources.a.secrets: reading a secret"},
		"path token":                {"sources: {a: {secrets: [env:GET3W_WEBHOOK_SECRET], path_token: env:NOPE}}\n", "sources.a.path_token: the secret env:NOPE"},
		"path token that is none":   {"sources: {a: {secrets: [env:GET3W_WEBHOOK_SECRET], path_token: \"file:" + at("token") + "\"}}\n", "sources.a.path_token: it must be of letters"},
		"key of an API":             {"sources: {a: {secrets: [env:GET3W_WEBHOOK_SECRET], api: {key: env:NOPE}}}\n", "sources.a.api.key: the secret env:NOPE"},
		"password of NATS":          {"nats: {url: \"nats://127.0.0.1:1\", user: a, password: env:NOPE}\n", "nats.password: the secret env:NOPE"},
		"credentials of NATS":       {"nats: {url: \"nats://127.0.0.1:1\", creds: " + at("none") + "}\n", "nats: reading the credentials"},
		"seed of NATS":              {"nats: {url: \"nats://127.0.0.1:1\", nkey: " + at("text") + "}\n", "nats: reading the nkey seed"},
		"authority of NATS":         {"nats: {url: \"nats://127.0.0.1:1\", tls: {ca: " + at("text") + "}}\n", "nats: reading the files of nats.tls"},
		"certificate of NATS":       {"nats: {url: \"nats://127.0.0.1:1\", tls: {cert: " + cert + ", key: " + at("text") + "}}\n", "nats: reading the files of nats.tls"},
		"certificate":               {"ingress: {tls: {cert: " + at("none") + ", key: " + at("none") + "}}\n", "ingress.tls: reading the certificate"},
		"key of a certificate":      {"ingress: {tls: {cert: " + cert + ", key: " + at("text") + "}}\n", "ingress.tls: reading the certificate"},
		"address of another host":   {"ingress: {listen: \"192.0.2.1:0\"}\n", "ingress.listen: "},
		"address of operators":      {"admin: {listen: \"192.0.2.1:0\"}\n", "admin.listen: "},
		"address of NATS":           {"nats: {listen: \"192.0.2.1:0\"}\n", "nats.listen: "},
		"data folder is a file":     {"data_dir: " + at("text") + "/x\n", "data_dir: "},
		"data folder of the future": {"data_dir: " + at("newer") + "\n", "data_dir: data folder " + at("newer") + " has format 99"},
		"archive in a file":         {"consumers: {archive: {store: \"file://" + at("text") + "/x\"}}\n", "consumers.archive.store: " + at("text") + " is not a folder"},
		"archive without a region":  {"consumers: {archive: {store: \"s3://bucket/x\"}}\n", "consumers.archive.store: the region is not known"},
		"command that is not there": {"consumers: {run: {kind: exec, command: [" + at("none") + "]}}\n", "consumers.run.command: "},
		"command that is no file":   {"consumers: {run: {kind: exec, command: [" + dir + "]}}\n", "consumers.run.command: "},
		"command without the right": {"consumers: {run: {kind: exec, command: [" + at("text") + "]}}\n", "consumers.run.command: "},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(c.text, "data_dir") {
				c.text = "data_dir: " + at("old") + "\n" + c.text
			}
			path := writeConfig(t, c.text)
			code, stdout, stderr := runVerb("config", "check", path)
			require.Equal(t, 1, code, stdout)
			require.Contains(t, stderr, c.want)
			require.Regexp(t, `hookspan\.yaml:\d+:\d+: `, stderr, "the line")
			require.NotContains(t, stderr, secret)
			if strings.Contains(c.want, "data_dir") {
				return // what runs there is looked at all the same
			}
			code, _, stderr = runVerb("config", "check", "--no-secrets", path)
			require.Equal(t, 0, code, "the file itself is right: %s", stderr)
		})
	}
	require.NoFileExists(t, at("old")+"/lock", "nothing is made")

	// Another role needs none of it.
	for _, text := range []string{
		"roles: [consumers]\nsources: {a: {secrets: [env:NOPE], path_token: env:NOPE}}\ningress: {tls: {cert: /none, key: /none}}\n",
		"roles: [ingress]\n" + forward("env:NOPE"),
		"sources: {a: {secrets: [env:NOPE, env:GET3W_WEBHOOK_SECRET], retired_secrets: [env:NOPE, file:/none]}}\n",
	} {
		code, _, stderr := runVerb("config", "check", writeConfig(t, "data_dir: "+at("old")+"\n"+text))
		require.Equal(t, 0, code, text+stderr)
	}
}

// A bucket at an address of this machine, which the environment names, is taken by the check
// as by serve: only where the archive may speak without TLS.
func TestConfigCheckAgreesOnTheEndpointOfABucket(t *testing.T) {
	t.Parallel()
	variables, dir := []string{"AWS_ENDPOINT_URL_S3=http://127.0.0.1:9"}, t.TempDir()
	file := func(allow string) string {
		return "data_dir: " + dir + "\n" + strings.Replace(smallConfig, "{archive: {enabled: false}}",
			"{archive: {kind: archive, store: \"s3://bucket\", hosts: [127.0.0.1], allow_private: "+allow+"}}", 1)
	}
	code, _, stderr := verbOfAProcess(t, dir, variables, "config", "check", writeConfig(t, file("true")))
	require.Equal(t, 0, code, stderr)
	cmd := command(t, dir, "--json", "serve", "--config", writeConfig(t, file("true")))
	cmd.Env = append(cmd.Env, variables...)
	p := start(t, dir, cmd)
	require.Equal(t, 0, p.stop(), p.logs)

	code, _, stderr = verbOfAProcess(t, dir, variables, "config", "check", writeConfig(t, file("false")))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "consumers.archive.store: the endpoint that AWS_ENDPOINT_URL_S3")
	code, _, stderr = verbOfAProcess(t, dir, variables, "serve", "--config", writeConfig(t, file("false")))
	require.NotEqual(t, 0, code)
	require.Contains(t, stderr, "the endpoint that AWS_ENDPOINT_URL_S3")
}
