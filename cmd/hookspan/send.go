package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/sending"
)

const (
	// maxSendBody is more than any bridge accepts, so that the bridge's limit can be tried.
	maxSendBody = 64 << 20
)

// signFlags are shared by the verbs that post signed webhooks.
type signFlags struct {
	Secret config.SecretRef `default:"env:GET3W_WEBHOOK_SECRET" help:"The secret to sign with, as env:NAME or file:PATH."`
	CA     string           `name:"ca" placeholder:"FILE" help:"PEM file of the authority that signed the bridge's certificate (default: those of the system)."`
	Name   string           `name:"tls-name" placeholder:"HOST" help:"The name that the certificate must be for (default: the host of --url)."`
}

type sendCmd struct {
	signFlags
	bridgeFlag
	URL    string   `placeholder:"URL" help:"Where to post it (default: to the source get3w of the bridge of --config, else of the current folder, else http://127.0.0.1:8080/webhooks/get3w)."`
	ID     string   `name:"id" help:"Prediction id (default: a new one)."`
	Model  string   `default:"get3w/flux-dev" help:"Model of the prediction."`
	Status string   `default:"completed" help:"Status of the prediction."`
	Output []string `sep:"none" help:"An output; repeat it for several (default: one of a completed prediction, at an address where nothing is)."`
	Error  string   `help:"Error message (default: one for a failed prediction)."`
	File   string   `help:"Send this file's bytes as the body instead; - is standard input."`
}

// Values of send for outputs and error. Programs take the first output, or read the error,
// without checking that there is one.
const (
	sampleOutput = "https://cdn.get3w.com/outputs/image.png"
	sampleError  = "the prediction failed"
)

// Run signs the body as the provider does and posts it, once.
func (c *sendCmd) Run(e *env) error {
	secret, err := c.Secret.Require(e.getenv)
	if err != nil {
		return err
	}
	body, err := c.body(e.stdin)
	if err != nil {
		return err
	}
	if c.URL, err = c.target(e); err != nil {
		return err
	}
	at, err := url.Parse(c.URL)
	if err != nil {
		return fmt.Errorf("--url: %w", withoutURL(err))
	}
	certificates, err := c.certificates()
	if err != nil {
		return err
	}
	client := sending.NewClient(sending.Options{Timeout: sending.Timeout, Conns: 1, TLS: certificates})
	defer client.Close()
	answer, err := client.Post(e.ctx, c.URL, sending.Header(body, secret), body)
	if err != nil {
		return fmt.Errorf("posting the webhook to %s: %w", at.Host, err)
	}
	if err := c.print(e, answer); err != nil {
		return err
	}
	if answer.Status/100 != 2 {
		return errSilent
	}
	return nil
}

// target returns the address to post to.
func (c *sendCmd) target(e *env) (string, error) {
	if c.URL != "" {
		return c.URL, nil
	}
	holder, err := c.holder(e, "--url")
	switch {
	case err != nil:
		return "", err
	case holder.WebhooksURL == "":
		return "", errors.New("the bridge of this folder takes no webhooks, it has not the role ingress: say with --url where to post")
	}
	return holder.WebhooksURL + "/webhooks/get3w", nil
}

// certificates returns nil for the certificates of the system and the name in the address.
func (f signFlags) certificates() (*tls.Config, error) {
	if f.CA == "" && f.Name == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.Name}
	if f.CA != "" {
		text, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca: %s holds no certificate in PEM", f.CA)
		}
	}
	return cfg, nil
}

func (c *sendCmd) print(e *env, a sending.Answer) error {
	answer := bytes.TrimSpace(a.Body)
	told := map[string]any{"status": a.Status, "answer": string(answer)}
	if json.Valid(answer) {
		told["answer"] = json.RawMessage(answer)
	}
	return e.print(told, func(out *printer) { out.printf("%d %s\n%s\n", a.Status, http.StatusText(a.Status), answer) })
}

func (c *sendCmd) body(stdin io.Reader) ([]byte, error) {
	if c.File != "" {
		return readInput("--file", c.File, maxSendBody, stdin)
	}
	now := time.Now()
	id := cmp.Or(c.ID, "pred_"+strings.ToLower(rand.Text()[:12]))
	w := sending.NewWebhook(id, c.Model, c.Status, now)
	w.URLs, w.Outputs, w.Error = nil, c.Output, c.Error
	switch {
	case !bridge.Terminal(c.Status):
		w.Timings, w.CompletedAt = nil, ""
	case c.Status == bridge.StatusCompleted && len(w.Outputs) == 0:
		w.Outputs = []string{sampleOutput}
	case c.Status == bridge.StatusFailed && w.Error == "":
		w.Error = sampleError
	}
	return json.Marshal(w)
}
