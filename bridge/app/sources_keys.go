package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/dialguard"
)

// keysClient gets the public keys of senders over https from public addresses, ownKeysClient over
// http from this machine, which the configuration may name.
var (
	keysClient    = sync.OnceValue(func() *http.Client { return newKeysClient(dialguard.Config{}) })
	ownKeysClient = sync.OnceValue(func() *http.Client {
		return newKeysClient(dialguard.Config{Plain: true, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}})
	})
)

// newKeysClient returns a client that follows no redirect.
func newKeysClient(permitted dialguard.Config) *http.Client {
	dialer := &net.Dialer{Timeout: 2 * time.Second, Control: dialguard.New(permitted).Control}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, TLSHandshakeTimeout: 2 * time.Second, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetchKeys implements [source.FetchKeys].
func fetchKeys(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("fetching the keys of the sender: %w", err)
	}
	client := keysClient()
	if req.URL.Scheme == "http" {
		client = ownKeysClient()
	}
	res, err := client.Do(req)
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
