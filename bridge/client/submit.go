package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// SubmitRequest is a prediction that the bridge submits to the provider.
type SubmitRequest struct {
	Source string
	// Model is the provider's name, such as get3w/flux-dev.
	Model string
	// Input is the provider's JSON object. The bridge adds its webhook.
	Input json.RawMessage
	// Deadline, Reference, Tenant and Metadata are as in [bridge.Watch].
	Deadline  time.Time
	Reference string
	Tenant    string
	Metadata  map[string]string
	// IdempotencyKey, when not empty, makes it safe to repeat the request after any error
	// without paying twice.
	IdempotencyKey string
}

// Submit submits a prediction once. A refusal of the provider is an [*Error] with the
// provider's status: 400, 401, 403, 404, or 429 with RetryAfter. After any other error the
// provider may have accepted the prediction: submit it again only with an idempotency key.
// An input with "stream": true is refused, because its answer is not one JSON object.
func (c *Client) Submit(ctx context.Context, r SubmitRequest) (*bridge.Submitted, error) {
	if err := bridge.CheckName("source", r.Source); err != nil {
		return nil, err
	}
	parts := strings.Split(r.Model, "/")
	for _, p := range parts {
		if p == "" || p == "." || p == ".." {
			return nil, fmt.Errorf("model %q is none: write one such as get3w/flux-dev", r.Model)
		}
	}
	var input map[string]json.RawMessage
	if err := json.Unmarshal(r.Input, &input); err != nil || input == nil {
		return nil, errors.New("the input is not a JSON object")
	}
	if string(input["stream"]) == "true" {
		return nil, errors.New(`the input has "stream": true, whose answer is not read here: leave it out, and follow the prediction`)
	}
	query := url.Values{}
	for name, value := range map[string]string{"reference": r.Reference, "tenant": r.Tenant} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if !r.Deadline.IsZero() {
		query.Set("deadline", r.Deadline.UTC().Format(time.RFC3339Nano))
	}
	for name, value := range r.Metadata {
		query.Set("meta."+name, value)
	}
	header := http.Header{}
	if r.IdempotencyKey != "" {
		header.Set("Idempotency-Key", r.IdempotencyKey)
	}
	var out bridge.Submitted
	err := c.call(ctx, http.MethodPost, route(append([]string{r.Source}, parts...)...), query, header, r.Input, maxSubmitted, &out)
	if err != nil {
		return nil, err
	}
	return &out, nil
}
