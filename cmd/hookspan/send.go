package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/signing"
)

const (
	// providerTime is the provider's format of a time.
	providerTime = "2006-01-02T15:04:05.000Z"
	// senderTimeout is how long the provider waits for an answer.
	senderTimeout = 30 * time.Second
	maxAnswer     = 64 << 10
	// maxSendBody is more than any bridge accepts, so that the bridge's limit can be tried.
	maxSendBody = 64 << 20
)

type sendCmd struct {
	URL    string           `default:"http://127.0.0.1:8080/webhooks/get3w" help:"Where to post it."`
	Secret config.SecretRef `default:"env:GET3W_WEBHOOK_SECRET" help:"The secret to sign with, as env:NAME or file:PATH."`
	ID     string           `name:"id" help:"Prediction id (default: a new one)."`
	Model  string           `default:"get3w/flux-dev" help:"Model of the prediction."`
	Status string           `default:"completed" help:"Status of the prediction."`
	Output []string         `sep:"none" help:"An output; repeat it for several (default: one of a completed prediction, at an address where nothing is)."`
	Error  string           `help:"Error message (default: one for a failed prediction)."`
	CA     string           `name:"ca" placeholder:"FILE" help:"PEM file of the authority that signed the bridge's certificate (default: those of the system)."`
	Name   string           `name:"tls-name" placeholder:"HOST" help:"The name that the certificate must be for (default: the host of --url)."`
	File   string           `help:"Send this file's bytes as the body instead; - is standard input."`
}

// webhook is the body as the provider documents it. A prediction that has ended has timings and
// the time of its end, a completed one outputs, a failed one an error.
type webhook struct {
	ID          string         `json:"id"`
	Model       string         `json:"model"`
	Status      string         `json:"status"`
	Outputs     []string       `json:"outputs,omitempty"`
	Error       string         `json:"error,omitempty"`
	Timings     map[string]int `json:"timings,omitempty"`
	CreatedAt   string         `json:"created_at"`
	CompletedAt string         `json:"completed_at,omitempty"`
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
	ctx, cancel := context.WithTimeout(e.ctx, senderTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("--url: %w", withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(signing.Header, signing.Sign(body, secret))
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("posting the webhook to %s: %w", req.URL.Host, withoutURL(err))
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if err := c.print(e, res, answer); err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return errSilent
	}
	return nil
}

func (c *sendCmd) client() (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca: %s holds no certificate in PEM", c.CA)
		}
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	}
	if c.Name != "" {
		if transport.TLSClientConfig == nil {
			transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		transport.TLSClientConfig.ServerName = c.Name
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func (c *sendCmd) print(e *env, res *http.Response, answer []byte) error {
	answer = bytes.TrimSpace(answer)
	told := map[string]any{"status": res.StatusCode, "answer": string(answer)}
	if json.Valid(answer) {
		told["answer"] = json.RawMessage(answer)
	}
	return e.print(told, func(out *printer) { out.printf("%s\n%s\n", res.Status, answer) })
}

func (c *sendCmd) body(stdin io.Reader) ([]byte, error) {
	if c.File != "" {
		return readInput("--file", c.File, maxSendBody, stdin)
	}
	now := time.Now().UTC()
	w := webhook{
		ID: c.ID, Model: c.Model, Status: c.Status, Outputs: c.Output, Error: c.Error,
		CreatedAt: now.Add(-3 * time.Second).Format(providerTime),
	}
	if bridge.Terminal(c.Status) {
		w.Timings, w.CompletedAt = map[string]int{"inference": 2500}, now.Format(providerTime)
	}
	switch {
	case c.Status == bridge.StatusCompleted && len(w.Outputs) == 0:
		w.Outputs = []string{sampleOutput}
	case c.Status == bridge.StatusFailed && w.Error == "":
		w.Error = sampleError
	}
	if w.ID == "" {
		w.ID = "pred_" + strings.ToLower(rand.Text()[:12])
	}
	return json.Marshal(w)
}
