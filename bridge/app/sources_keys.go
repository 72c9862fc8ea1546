package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/dialguard"
)

// keysClient gets the public keys of senders: from public addresses, without redirects.
var keysClient = sync.OnceValue(func() *http.Client {
	dialer := &net.Dialer{Timeout: 2 * time.Second, Control: dialguard.New(dialguard.Config{}).Control}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, TLSHandshakeTimeout: 2 * time.Second, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
})

// fetchKeys implements [source.FetchKeys].
func fetchKeys(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("fetching the keys of the sender: %w", err)
	}
	res, err := keysClient().Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetching the keys of the sender: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching the keys of the sender: %s answered %d", url, res.StatusCode)
	}
	document, err := io.ReadAll(io.LimitReader(res.Body, source.MaxKeys+1))
	if err != nil {
		return nil, fmt.Errorf("fetching the keys of the sender: %w", err)
	}
	return document, nil
}
