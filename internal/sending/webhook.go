package sending

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/hookspan/hookspan/internal/signing"
)

// TimeFormat is the provider's format of a time.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// Webhook is the body of a webhook as the provider documents it.
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

// NewWebhook returns the webhook of a prediction that ended at the given time.
func NewWebhook(id, model, status string, ended time.Time) Webhook {
	return Webhook{
		ID: id, Model: model, Status: status, Timings: map[string]int{"inference": 2500},
		URLs:        map[string]any{"get": "https://api.get3w.com/api/v3/predictions/" + id},
		CreatedAt:   ended.Add(-3 * time.Second).UTC().Format(TimeFormat),
		CompletedAt: ended.UTC().Format(TimeFormat),
	}
}

// Body returns the webhook in JSON.
func (w Webhook) Body() []byte {
	body, err := json.Marshal(w)
	if err != nil {
		panic(err) // the input holds something that JSON cannot say
	}
	return body
}

// Header returns the headers of a request with that body, signed with the secret.
func Header(body, secret []byte) http.Header {
	return http.Header{"Content-Type": {"application/json"}, signing.Header: {signing.Sign(body, secret)}}
}
