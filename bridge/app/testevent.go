package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/fakesender"
	"github.com/hookspan/hookspan/internal/sending"
)

const (
	// testPrefix begins the ids of predictions that are tests, and testModel is their model.
	testPrefix = "test_"
	testModel  = "hookspan/test-event"
)

// sendTest posts a webhook of a source to the listener of this process, signed with the source's
// secret: what comes of it is what comes of a webhook of the provider.
func (a *App) sendTest(ctx context.Context, name string) (adminapi.TestEvent, error) {
	refuse := func(status int, format string, args ...any) (adminapi.TestEvent, error) {
		return adminapi.TestEvent{}, &adminapi.Refusal{Status: status, Detail: fmt.Sprintf(format, args...)}
	}
	cfg := a.force.Load().cfg
	s, ok := cfg.Sources[name]
	switch {
	case !ok:
		return adminapi.TestEvent{}, fmt.Errorf("source %s: %w", name, adminapi.ErrNoSource)
	case a.ingress == nil:
		return refuse(http.StatusConflict, "This process has no role ingress, and so no secrets: ask one that has it.")
	}
	kind, err := s.Sender()
	if err != nil {
		return adminapi.TestEvent{}, err
	}
	if why := untestable(s, kind); why != "" {
		return refuse(http.StatusConflict, "A test event cannot be made for source %s: %s.", name, why)
	}
	set, err := resolveSources(cfg, a.getenv)
	if err != nil {
		return adminapi.TestEvent{}, err
	}
	live := set[name]
	if live.needsSecret && !live.hasSecret() {
		return refuse(http.StatusConflict, "Source %s has no secret, so it refuses every webhook: set one of sources.%s.secrets.", name, name)
	}
	var secret []byte
	for _, secret = range live.config.Secrets {
		if len(secret) > 0 {
			break
		}
	}
	id := testPrefix + strings.ToLower(rand.Text()[:12])
	body, header, err := testWebhook(kind, id, secret)
	if err != nil {
		return refuse(http.StatusConflict, "A test event cannot be signed with the secret of source %s: %v.", name, err)
	}
	address := a.webhooksURL() + "/webhooks/" + name
	if len(live.pathToken) > 0 {
		address += "/" + url.PathEscape(string(live.pathToken))
	}
	client := sending.NewClient(sending.Options{Timeout: sending.Timeout, Conns: 1, TLS: &tls.Config{
		MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // the process calls itself, and its certificate is for another name
	}})
	defer client.Close()
	answer, err := client.Post(ctx, address, header, body)
	if err != nil {
		return refuse(http.StatusBadGateway, "The listener of this process did not answer: %v", err)
	}
	result, event, err := answer.Result()
	if answer.Status != http.StatusOK || err != nil {
		return refuse(http.StatusBadGateway, "The listener of this process answered the test event %d: %.300s", answer.Status, answer.Body)
	}
	return adminapi.TestEvent{Source: name, Prediction: id, Result: bridge.Result(result), ID: event}, nil
}

// untestable says why nobody but the provider can send a webhook of a source, empty when this process
// can.
func untestable(s config.Source, kind *source.Kind) string {
	switch {
	case kind.NoWebhook:
		return "its provider sends no webhooks"
	case kind.Confirms(s.API.Key != ""):
		return "its provider is asked about each prediction, and does not know that of a test"
	case kind.Proof != nil && !kind.NeedsSecret():
		return "its provider signs with a key of its own"
	case !reflect.ValueOf(s.Body).IsZero():
		return "its webhooks are written as sources.<name>.body says; have the provider send one"
	}
	return ""
}

// testWebhook returns a webhook of a kind as its provider would write and sign it.
func testWebhook(kind *source.Kind, id string, secret []byte) ([]byte, http.Header, error) {
	sender, err := fakesender.Of(kind.Name)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	body := sender.Webhook(fakesender.Prediction{ID: id, Model: testModel, Status: bridge.StatusCompleted, Created: now, Ended: now})
	header := http.Header{}
	if kind.Proof != nil {
		proof, err := kind.Proof.Sign(source.Message{ID: "msg_" + id, At: now, Body: body}, secret)
		if err != nil {
			return nil, nil, err
		}
		header = http.Header(proof)
	}
	header.Set("Content-Type", "application/json")
	return body, header, nil
}
