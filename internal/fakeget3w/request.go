package fakeget3w

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

const (
	maxBody = 1 << 20
	// maxInput bounds the input that answers repeat, and maxWebhook its address: both are kept
	// for each prediction.
	maxInput   = 2 << 10
	maxWebhook = 2 << 10
	maxModel   = 256
)

type submission struct {
	model   string
	webhook string
	input   json.RawMessage // nil when it is too long to be kept
	stream  bool
	sync    bool
}

// modelName: two or three parts.
var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){1,2}$`)

// reserved begin paths of the API that are not models.
var reserved = []string{"predictions", "requests", "files", "media", "account"}

// readSubmission reads a request of either version. The error is an [*apiError].
func readSubmission(w http.ResponseWriter, r *http.Request) (*submission, error) {
	model := r.PathValue("model")
	owner, _, _ := strings.Cut(model, "/")
	if len(model) > maxModel || !modelName.MatchString(model) || slices.Contains(reserved, owner) {
		return nil, refuse(http.StatusNotFound, "model not found")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, long := errors.AsType[*http.MaxBytesError](err); long {
			return nil, refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxBody)
		}
		return nil, refuse(http.StatusBadRequest, "the body could not be read")
	}
	s, err := parseSubmission(body, r.URL.Query().Get("webhook"))
	if err != nil {
		return nil, err
	}
	s.model = model
	return s, nil
}

// parseSubmission reads a body. A webhook in it overrides that of the query.
func parseSubmission(body []byte, webhook string) (*submission, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return nil, refuse(http.StatusBadRequest, "the body is not a JSON object")
	}
	s := &submission{webhook: webhook}
	for _, f := range []struct {
		name string
		into any
		kind string
	}{
		{"webhook_url", &s.webhook, "a string"},
		{"stream", &s.stream, "a boolean"},
		{"enable_sync_mode", &s.sync, "a boolean"},
	} {
		raw, there := fields[f.name]
		delete(fields, f.name)
		if there && string(raw) != "null" && json.Unmarshal(raw, f.into) != nil {
			return nil, refuse(http.StatusBadRequest, "invalid parameters: %s must be %s", f.name, f.kind)
		}
	}
	if s.webhook != "" {
		u, err := url.Parse(s.webhook)
		if len(s.webhook) > maxWebhook || err != nil || !isHTTP(u) {
			return nil, refuse(http.StatusBadRequest, "invalid parameters: webhook_url must be an http or https address")
		}
	}
	if input := encode(fields); len(input) <= maxInput {
		s.input = input
	}
	return s, nil
}

func (p *Provider) baseOf(r *http.Request) string {
	switch {
	case p.cfg.BaseURL != "":
		return p.cfg.BaseURL
	case r.TLS != nil:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func idOf(r *http.Request) string {
	id := r.PathValue("id")
	if len(id) > bridge.MaxPredictionID {
		return ""
	}
	return strings.ToValidUTF8(id, "")
}
