package provider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/printable"
	"github.com/hookspan/hookspan/internal/retryafter"
)

// noKeyPause is how long polls wait while there is no key.
const noKeyPause = time.Minute

// Result returns the prediction with that id as the provider writes it: one JSON object,
// byte for byte except for the key. Model may be empty where the path does not name it. It
// returns within Config.Timeout. The error wraps [provider.ErrNoPrediction], [ErrOpen] when the
// answer says that there is no result yet, or a [*provider.TryLaterError] after a 429 or 503 and
// while there is no key; any other error may be temporary. No error holds the key or the address.
func (c *Client) Result(ctx context.Context, id, model string) ([]byte, error) {
	key := *c.key.Load()
	if len(key) == 0 {
		return nil, &TryLaterError{After: noKeyPause, Err: fmt.Errorf("asking the provider for a prediction: %w", c.errNoKey())}
	}
	if err := bridge.CheckPredictionID(id); err != nil {
		return nil, fmt.Errorf("asking the provider for a prediction: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	path, err := resultPath(c.cfg.API.Result, id, model)
	if err != nil {
		return nil, fmt.Errorf("asking the provider for a prediction: %w", err)
	}
	object, err := c.ask(ctx, path, key)
	if err != nil {
		return nil, fmt.Errorf("asking the provider for a prediction: %w", err)
	}
	return object, nil
}

// ErrOpen means that the provider has no result yet.
var ErrOpen = errors.New("there is no result yet")

var errNoModel = errors.New("the path names the model, and that of the prediction is not known: watch the prediction with its model")

// resultPath is the path of a prediction behind the base address.
func resultPath(paths []source.ResultPath, id, model string) (string, error) {
	i := slices.IndexFunc(paths, func(p source.ResultPath) bool { return strings.HasPrefix(id, p.Prefix) })
	if i < 0 {
		return "", errors.New("nothing is known of how to ask this provider: set api.result")
	}
	path := paths[i].Path
	if strings.Contains(path, "{model}") || strings.Contains(path, "{app}") {
		if model == "" {
			return "", errNoModel
		}
		if err := CheckModel(model); err != nil {
			return "", err
		}
	}
	parts := strings.Split(model, "/")
	escaped := url.PathEscape(id)
	if at := strings.IndexByte(path, '?'); at >= 0 && at < strings.Index(path, "{id}") {
		escaped = url.QueryEscape(id)
	}
	return strings.NewReplacer(
		"{id}", escaped, "/{model}", modelPath(model), "/{app}", modelPath(strings.Join(parts[:min(len(parts), 2)], "/")),
	).Replace(path), nil
}

func (c *Client) ask(ctx context.Context, path string, key []byte) ([]byte, error) {
	req, err := c.newRequest(ctx, http.MethodGet, path, key, http.NoBody, 0)
	if err != nil {
		return nil, err
	}
	if len(c.cfg.API.Header) > 0 {
		req.Header.Del("Authorization")
		for name, value := range c.cfg.API.Header {
			req.Header.Set(name, strings.ReplaceAll(value, "{key}", string(key)))
		}
	}
	res, err := send(c.polls, req)
	if err != nil {
		return nil, withoutURL(err, key)
	}
	// The rest of a body is not read: the connection is closed.
	defer func() { _ = res.Body.Close() }()
	switch {
	case slices.Contains(c.cfg.API.Open, res.StatusCode):
		return nil, ErrOpen
	case res.StatusCode >= 300 && !slices.Contains(c.cfg.API.Failed, res.StatusCode):
		return nil, c.refused(res, key)
	}
	body, err := c.readWhole(res, key)
	if err != nil {
		return nil, err
	}
	if !c.cfg.API.Enveloped {
		return bytes.TrimSpace(body), nil
	}
	a, err := parseAnswer(body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("its answer cannot be read: %w", withoutURL(err, key))
	case a.failed():
		return nil, c.statusError(a.code, a.message, res, key)
	case a.object == nil:
		return nil, fmt.Errorf("%w%s", errNoData, quoted(a.message, key))
	}
	return a.object, nil
}

func (c *Client) refused(res *http.Response, key []byte) error {
	if res.StatusCode < 400 {
		return redirected(res, key)
	}
	a, isJSON, empty := explained(res)
	if res.StatusCode == http.StatusNotFound && !isJSON && !empty {
		// Not the API answered: no prediction is given up for that.
		return fmt.Errorf("it answered 404 with %s, not with JSON: check sources.%s.api.base_url", plainText(mediaType(res), key), c.cfg.Source)
	}
	return c.statusError(res.StatusCode, a.message, res, key)
}

// statusError returns the error for a status of HTTP or of the envelope.
func (c *Client) statusError(status int, message string, res *http.Response, key []byte) error {
	err := fmt.Errorf("it answered %d%s", status, quoted(message, key))
	switch status {
	case http.StatusNotFound:
		return fmt.Errorf("%w: %w", ErrNoPrediction, err)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return &TryLaterError{After: min(retryafter.Parse(res.Header.Get("Retry-After"), time.Now()), maxRetryAfter), Err: err}
	case http.StatusUnauthorized, http.StatusForbidden:
		return &told{text: printable.Sentences(err.Error(), fmt.Sprintf("Check sources.%s.api.key", c.cfg.Source)), err: err}
	}
	return err
}
