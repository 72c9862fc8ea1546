package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/certificate/certificatetest"
)

// banner starts a bridge and returns what it prints for people.
func banner(t *testing.T, dir, config string) (lines []string, p *program) {
	t.Helper()
	put(t, dir, "hook span.yaml", config)
	cmd := command(t, dir, "serve", "--config", "hook span.yaml")
	p = &program{t: t, cmd: cmd, dir: dir, logs: &safeBuffer{}, done: make(chan error, 1)}
	cmd.Stderr = p.logs
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(p.kill)
	read := make(chan []string, 1)
	go func() {
		in := bufio.NewScanner(stdout)
		var lines []string
		for in.Scan() {
			lines = append(lines, in.Text())
			if strings.Contains(in.Text(), " send --secret ") {
				break // the last one
			}
		}
		read <- lines
		_, _ = io.Copy(io.Discard, stdout)
		p.done <- cmd.Wait()
	}()
	select {
	case lines = <-read:
	case <-time.After(patience):
		t.Fatal("the bridge prints no banner: " + p.logs.String())
	}
	return lines, p
}

// The commands that serve prints work as printed, from any folder: the one that posts a webhook,
// and the one that gives NATS to a shell.
func TestBannerWorksAsPrinted(t *testing.T) {
	t.Parallel()
	const listen = "admin: {listen: \"127.0.0.1:0\"}\nconsumers: {archive: {store: file:///ARCHIVE}, team: {kind: pull}, run: {kind: exec, command: [/bin/true]}, post: {kind: forward, url: \"https://svc.example.com/token/x\", secret: env:GET3W_WEBHOOK_SECRET}}\n"
	for name, config := range map[string]string{
		"a wildcard and a free port": "ingress: {listen: \":0\"}\nnats: {listen: \"0.0.0.0:0\", events: {max_bytes: 64MiB}}\n",
		"every address of IPv6":      "ingress: {listen: \"[::]:0\"}\nnats: {listen: \"[::]:0\", events: {max_bytes: 64MiB}}\n",
		"a secret in a file": "ingress: {listen: \"127.0.0.1:0\"}\nnats: {listen: \"127.0.0.1:0\", events: {max_bytes: 64MiB}}\n" +
			"sources: {mine: {secrets: [env:HOOKSPAN_TEST_UNSET, \"file:the secret\"], path_token: file:token}}\n",
		"a path token in a variable": "ingress: {listen: \"127.0.0.1:0\"}\nnats: {listen: \"127.0.0.1:0\", events: {max_bytes: 64MiB}}\n" +
			"sources: {get3w: {secrets: [env:GET3W_WEBHOOK_SECRET], path_token: env:GET3W_WEBHOOK_SECRET}}\n",
		"TLS":                  "ingress: {listen: \"127.0.0.1:0\", tls: {cert: cert.pem, key: key.pem}}\nnats: {listen: \"127.0.0.1:0\", events: {max_bytes: 64MiB}}\n",
		"TLS for another name": "ingress: {listen: \"127.0.0.1:0\", tls: {cert: named.pem, key: named.key}}\nnats: {listen: \"127.0.0.1:0\", events: {max_bytes: 64MiB}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "it's here")
			require.NoError(t, os.Mkdir(dir, 0o700))
			put(t, dir, "the secret", secret)
			put(t, dir, "token", "a-token\n")
			certificatetest.Issue(t, dir, 1)
			issueFor(t, dir, "*.example.com")
			kept := filepath.Join(t.TempDir(), "kept")
			lines, p := banner(t, dir, config+strings.Replace(listen, "/ARCHIVE", kept, 1))
			text := strings.Join(lines, "\n")
			require.NotContains(t, text, ":0/")
			for _, want := range []string{"archives outputs in file://" + kept, "consumer team ", "runs /bin/true", "posts events to https://svc.example.com\n"} {
				require.Contains(t, text, want)
			}
			require.NotContains(t, text, secret)
			out, err := shell(t, lines[len(lines)-1])
			require.NoError(t, err, "%s\n%s", lines[len(lines)-1], out)
			require.Contains(t, out, `"result":"stored"`)

			_, eval, found := strings.Cut(text, "other programs connect after: ")
			require.True(t, found, text)
			eval, _, _ = strings.Cut(eval, "\n")
			out, err = shell(t, eval+`; echo "$NATS_URL"`)
			require.NoError(t, err, out)
			require.Regexp(t, `^nats://127\.0\.0\.1:[1-9]\d*\n$`, out)
			require.Equal(t, 0, p.stop(), p.logs)
		})
	}
}

// shell runs a line as somebody does who has pasted it, in another folder.
func shell(t *testing.T, line string) (string, error) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), asHookspan+"=1", "GET3W_WEBHOOK_SECRET="+secret)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// issueFor writes a certificate that is for a name, and not for an address.
func issueFor(t *testing.T, dir, name string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	put(t, dir, "named.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	put(t, dir, "named.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

// Webhooks of send can be handled as the provider's documentation does: a completed prediction
// has a first output, a failed one an error.
func TestSendSendsWhatTheProviderSends(t *testing.T) {
	t.Parallel()
	p := serveHere(t, smallConfig)
	for i, status := range []string{"completed", "failed", "processing"} {
		code, _, stderr := runVerb("send", "--url", p.url(), "--status", status)
		require.Equal(t, 0, code, stderr)
		var got struct {
			ID, Model, Status, Error string
			Outputs                  []string
			Timings                  *struct{ Inference int }
			CreatedAt                time.Time  `json:"created_at"`
			CompletedAt              *time.Time `json:"completed_at"`
		}
		require.NoError(t, json.Unmarshal(p.events()[i].Data(), &got))
		require.Equal(t, status, got.Status)
		require.NotEmpty(t, got.ID)
		require.NotZero(t, got.CreatedAt)
		switch status {
		case "completed":
			require.NotEmpty(t, got.Outputs)
			require.Regexp(t, `^https://cdn\.get3w\.com/`, got.Outputs[0])
			require.Empty(t, got.Error)
		case "failed":
			require.NotEmpty(t, got.Error)
			require.Empty(t, got.Outputs)
		}
		require.Equal(t, status != "processing", got.CompletedAt != nil && got.Timings != nil)
	}
}
