package rig

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/internal/signing"
)

const (
	// SourceName is the one source of a rig's bridges.
	SourceName = "get3w"
	// Secret is what its webhooks are signed with.
	Secret = "rig-secret-of-no-worth-0123456789"

	timeFormat = "2006-01-02T15:04:05.000Z"
)

// Webhook is a webhook as the provider documents it.
type Webhook struct {
	ID          string         `json:"id,omitempty"`
	Model       string         `json:"model"`
	Status      string         `json:"status"`
	Input       map[string]any `json:"input,omitempty"`
	Outputs     []string       `json:"outputs,omitempty"`
	Error       string         `json:"error,omitempty"`
	URLs        map[string]any `json:"urls,omitempty"`
	Timings     map[string]int `json:"timings,omitempty"`
	CreatedAt   string         `json:"created_at"`
	CompletedAt string         `json:"completed_at,omitempty"`
}

// NewWebhook is a webhook of a prediction that ended at the given time.
func NewWebhook(id, model, status string, completed time.Time) Webhook {
	return Webhook{
		ID: id, Model: model, Status: status, Timings: map[string]int{"inference": 2500},
		URLs:        map[string]any{"get": "https://api.get3w.com/api/v3/predictions/" + id},
		CreatedAt:   completed.Add(-3 * time.Second).UTC().Format(timeFormat),
		CompletedAt: completed.UTC().Format(timeFormat),
	}
}

// Body is the webhook in JSON.
func (w Webhook) Body() []byte { return Must(json.Marshal(w)) }

// Sign returns the right signature of a body.
func Sign(body []byte) string { return signing.Sign(body, []byte(Secret)) }

// Request is the HTTP request that posts a body. An empty signature is left out.
func Request(body []byte, signature string) []byte {
	proof := ""
	if signature != "" {
		proof = signing.Header + ": " + signature + "\r\n"
	}
	request := make([]byte, 0, len(body)+512)
	request = fmt.Appendf(request, "POST /webhooks/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: get3w-webhook/1.0\r\n"+
		"Accept: */*\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n", SourceName, len(body), proof)
	return append(request, body...)
}
