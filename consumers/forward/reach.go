package forward

import (
	"context"
	"fmt"
	"net/http"
)

// Reach returns an error unless the target of cfg answers a request of the method HEAD, with
// whatever status, under the rules of [New] for its address. It sends no event and no secret. Ctx
// bounds it.
func Reach(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, cfg.URL, http.NoBody)
	if err != nil {
		return fmt.Errorf("consumer %s: url: it cannot be asked: write one such as https://billing.example.com/hooks", cfg.Name)
	}
	req.Header.Set("User-Agent", cfg.UserAgent)
	transport := newTransport(cfg, req.URL.Scheme == "http")
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("asking %s://%s: %w", req.URL.Scheme, req.URL.Host, shortError{err})
	}
	return res.Body.Close()
}
