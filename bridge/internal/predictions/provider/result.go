package provider

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
	"github.com/hookspan/hookspan/internal/retryafter"
)

// noKeyPause is how long polls wait while there is no key.
const noKeyPause = time.Minute

// Result returns the prediction with that id as the provider writes it: one JSON object,
// byte for byte except for the key. It returns within Config.Timeout. The error wraps
// [provider.ErrNoPrediction], or a [*provider.TryLaterError] after a 429 or 503 and while
// there is no key; any other error may be temporary. No error holds the key or the address.
func (c *Client) Result(ctx context.Context, id string) ([]byte, error) {
	key := *c.key.Load()
	if len(key) == 0 {
		return nil, &TryLaterError{After: noKeyPause, Err: fmt.Errorf("asking the provider for a prediction: %w", c.errNoKey())}
	}
	if err := bridge.CheckPredictionID(id); err != nil {
		return nil, fmt.Errorf("asking the provider for a prediction: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	object, err := c.ask(ctx, id, key)
	if err != nil {
		return nil, fmt.Errorf("asking the provider for a prediction: %w", err)
	}
	return object, nil
}

func (c *Client) ask(ctx context.Context, id string, key []byte) ([]byte, error) {
	req, err := c.newRequest(ctx, http.MethodGet, "/predictions/"+url.PathEscape(id), key, http.NoBody, 0)
	if err != nil {
		return nil, err
	}
	res, err := send(c.polls, req)
	if err != nil {
		return nil, withoutURL(err, key)
	}
	// The rest of a body is not read: the connection is closed.
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= 300 {
		return nil, c.refused(res, key)
	}
	body, err := c.readWhole(res, key)
	if err != nil {
		return nil, err
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
