package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// maxRefusal bounds an answer that only explains itself, in bytes.
const maxRefusal = 64 << 10

// newRequest returns a request with the key. It has no GetBody, so net/http never sends the
// body a second time.
func (c *Client) newRequest(ctx context.Context, method, path string, key []byte, body io.Reader, size int64) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.cfg.BaseURL+path, body)
	if err != nil {
		return nil, withoutURL(err, key)
	}
	req.GetBody, req.ContentLength = nil, size
	req.Header.Set("Authorization", "Bearer "+string(key))
	req.Header.Set("Accept", mediaJSON)
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	return req, nil
}

var errSwitched = errors.New("it answered 101, which nobody asked for: check api.base_url")

// send sends a request. An answer 101 is an error: what follows it is not HTTP, and no
// deadline of the request would end it.
func send(on *http.Client, req *http.Request) (*http.Response, error) {
	res, err := on.Do(req)
	if err == nil && res.StatusCode == http.StatusSwitchingProtocols {
		_ = res.Body.Close()
		return nil, errSwitched
	}
	return res, err
}

// readWhole returns the body of a successful answer, without the key.
func (c *Client) readWhole(res *http.Response, key []byte) ([]byte, error) {
	if t := mediaType(res); t != "" && t != mediaJSON && !strings.HasSuffix(t, "+json") {
		return nil, fmt.Errorf("it answered %d with %s, not with JSON: check api.base_url", res.StatusCode, plainText(t, key))
	}
	if res.ContentLength > c.cfg.MaxBody {
		return nil, fmt.Errorf("its answer has %d bytes, more than %d", res.ContentLength, c.cfg.MaxBody)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, c.cfg.MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("its answer was cut off: %w", withoutURL(err, key))
	}
	if int64(len(body)) > c.cfg.MaxBody {
		return nil, fmt.Errorf("its answer has more than %d bytes", c.cfg.MaxBody)
	}
	return Censor(body, key), nil
}

// explained decodes an answer that is no success, as far as it can be read.
func explained(res *http.Response) (a answer, isJSON, empty bool) {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	a, parseErr := parseAnswer(body)
	return a, parseErr == nil, err == nil && len(body) == 0
}

const (
	mediaJSON   = "application/json"
	mediaStream = "text/event-stream"
)

func mediaType(res *http.Response) string {
	value := res.Header.Get("Content-Type")
	t, _, err := mime.ParseMediaType(value)
	if err != nil {
		return value
	}
	return t
}
