package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/sending"
)

const (
	// testPrefix begins the ids of predictions that are tests, and testModel is their model.
	testPrefix = "test_"
	testModel  = "hookspan/test-event"
	// testKind is the kind of sources that this process can write a webhook of.
	testKind = "get3w"
)

// sendTest posts a webhook of a source to the listener of this process, signed with the source's
// secret: what comes of it is what comes of a webhook of the provider.
func (a *App) sendTest(ctx context.Context, name string) (adminapi.TestEvent, error) {
	refuse := func(status int, format string, args ...any) (adminapi.TestEvent, error) {
		return adminapi.TestEvent{}, &adminapi.Refusal{Status: status, Detail: fmt.Sprintf(format, args...)}
	}
	cfg := a.sourcesOfNow()
	s, ok := cfg.Sources[name]
	switch {
	case !ok:
		return adminapi.TestEvent{}, fmt.Errorf("source %s: %w", name, adminapi.ErrNoSource)
	case a.ingress == nil:
		return refuse(http.StatusConflict, "This process has no role ingress, and so no secrets: ask one that has it.")
	case s.Kind != testKind:
		return refuse(http.StatusConflict, "A test event can be made for sources of kind %s, and %s is of kind %s: have its provider send one.", testKind, name, s.Kind)
	}
	set, err := resolveSources(cfg, a.getenv)
	if err != nil {
		return adminapi.TestEvent{}, err
	}
	live := set[name]
	if !live.hasSecret() {
		return refuse(http.StatusConflict, "Source %s has no secret, so it refuses every webhook: set one of sources.%s.secrets.", name, name)
	}
	var secret []byte
	for _, secret = range live.config.Secrets {
		if len(secret) > 0 {
			break
		}
	}
	id := testPrefix + strings.ToLower(rand.Text()[:12])
	webhook := sending.NewWebhook(id, testModel, bridge.StatusCompleted, time.Now())
	webhook.URLs = nil
	body := webhook.Body()
	address := a.webhooksURL() + "/webhooks/" + name
	if len(live.pathToken) > 0 {
		address += "/" + url.PathEscape(string(live.pathToken))
	}
	client := sending.NewClient(sending.Options{Timeout: sending.Timeout, Conns: 1, TLS: &tls.Config{
		MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // the process calls itself, and its certificate is for another name
	}})
	defer client.Close()
	answer, err := client.Post(ctx, address, sending.Header(body, secret), body)
	if err != nil {
		return refuse(http.StatusBadGateway, "The listener of this process did not answer: %v", err)
	}
	result, event, err := answer.Result()
	if answer.Status != http.StatusOK || err != nil {
		return refuse(http.StatusBadGateway, "The listener of this process answered the test event %d: %.300s", answer.Status, answer.Body)
	}
	return adminapi.TestEvent{Source: name, Prediction: id, Result: bridge.Result(result), ID: event}, nil
}
