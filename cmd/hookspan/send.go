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
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/fakesender"
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
	Kind   string   `default:"get3w" help:"The kind of provider that writes and signs it."`
	Source string   `default:"get3w" help:"The source that gets it."`
	URL    string   `placeholder:"URL" help:"Where to post it (default: to the source of the bridge of --config, else of the current folder, else http://127.0.0.1:8080/webhooks/get3w)."`
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
	sender, err := c.sender()
	if err != nil {
		return &usageError{err}
	}
	secret, err := c.secret(e, sender)
	if err != nil {
		return err
	}
	id := cmp.Or(c.ID, "pred_"+strings.ToLower(rand.Text()[:12]))
	body, err := c.body(e.stdin, sender, id)
	if err != nil {
		return err
	}
	header, err := sender.Sign(fakesender.Message{Prediction: id, At: time.Now(), Body: body}, secret)
	if err != nil {
		return fmt.Errorf("--secret: %w", err)
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
	answer, err := client.Post(e.ctx, c.URL, header, body)
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
	return holder.WebhooksURL + "/webhooks/" + c.Source, nil
}

// sender returns the provider, or says what it does not send.
func (c *sendCmd) sender() (*fakesender.Sender, error) {
	sender, err := fakesender.Of(c.Kind)
	switch {
	case err != nil:
		return nil, fmt.Errorf("--kind: %w", err)
	case !sender.Posts():
		return nil, fmt.Errorf("--kind: a provider of kind %s sends no webhooks", c.Kind)
	case sender.Signs() && !sender.NeedsSecret():
		return nil, fmt.Errorf("--kind: a provider of kind %s signs with a key of its own: simulate plays it", c.Kind)
	case c.File == "" && sender.TellsEndsOnly() && !slices.Contains(sender.Statuses(), c.Status):
		return nil, fmt.Errorf("--status: a provider of kind %s tells of %s only, as far as it is kept", c.Kind, strings.Join(sender.Statuses(), ", "))
	}
	return sender, nil
}

// secret returns what signs the webhooks of a sender.
func (f signFlags) secret(e *env, sender *fakesender.Sender) ([]byte, error) {
	switch {
	case sender.NeedsSecret():
		return f.Secret.Require(e.getenv)
	case sender.Signs():
		return fakesender.NewSecret(), nil
	}
	return nil, nil
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

func (c *sendCmd) body(stdin io.Reader, sender *fakesender.Sender, id string) ([]byte, error) {
	if c.File != "" {
		return readInput("--file", c.File, maxSendBody, stdin)
	}
	now := time.Now()
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
	if sender.TellsEndsOnly() {
		return sender.Webhook(fakesender.Prediction{
			ID: id, Model: c.Model, Status: c.Status, Outputs: w.Outputs, Error: w.Error, Created: now.Add(-3 * time.Second), Ended: now,
		}), nil
	}
	return w.Body(), nil
}
