package archive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxRedirects = 5

var (
	errSlow      = errors.New("download took too long")
	errStalled   = errors.New("nothing came for too long")
	errRedirects = errors.New("too many redirects")
	errLocation  = errors.New("redirect leads nowhere")
	errAnswer    = errors.New("answer is not valid HTTP")
)

// fetcher starts downloads. It uses the transport without [http.Client], which
// writes whole addresses into its errors and tells the next host of a redirect
// the address that led there.
type fetcher struct {
	guard     guard
	transport *http.Transport
	timeout   time.Duration
	stall     time.Duration
	limit     int64
}

func newFetcher(c Config) *fetcher {
	return &fetcher{guard: newGuard(c), transport: newTransport(c), timeout: c.Timeout, stall: c.Stall, limit: c.MaxOutput}
}

// get asks for the address and returns the download when the answer is 200 and
// not known to be too large. The caller must close it. The error is a fault, or
// the cause why ctx ended.
func (f *fetcher) get(ctx context.Context, address string) (*download, error) {
	if len(address) > maxURL {
		return nil, &fault{err: errors.New("its address is longer than 8 KiB"), short: "unusable", final: true}
	}
	u, err := url.Parse(address)
	if err != nil { // holds the address, so it goes no further
		return nil, &fault{err: errors.New("its address cannot be read"), short: "unusable", final: true}
	}
	ctx, stop := context.WithTimeoutCause(ctx, f.timeout, errSlow)
	ctx, cancel := context.WithCancelCause(ctx)
	release := func() { cancel(nil); stop() }
	resp, last, err := f.follow(ctx, u)
	if err != nil {
		release()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		err = badStatus(hostOf(last), resp)
	} else if resp.ContentLength > f.limit {
		err = tooLarge(f.limit)
	}
	if err != nil {
		release()
		_ = resp.Body.Close() // nothing of it is wanted
		return nil, err
	}
	d := &download{
		length:      resp.ContentLength,
		contentType: cleanType(resp.Header.Get("Content-Type")),
		urlPath:     u.Path,
		from:        last,
		body:        resp.Body,
		ctx:         ctx,
		release:     release,
		stall:       f.stall,
		limit:       f.limit,
	}
	// It runs only while a read waits, so a slow disk is not taken for a slow
	// sender.
	d.timer = time.AfterFunc(f.stall, func() { cancel(errStalled) })
	d.timer.Stop()
	return d, nil
}

// follow asks for u, and for what it redirects to, and returns the first answer
// that is no redirect, with the address that gave it.
func (f *fetcher) follow(ctx context.Context, u *url.URL) (*http.Response, *url.URL, error) {
	for hop := 0; ; hop++ {
		if err := f.guard.check(u); err != nil {
			return nil, nil, err
		}
		resp, err := f.ask(ctx, u)
		if err != nil {
			return nil, nil, err
		}
		if !isRedirect(resp) {
			return resp, u, nil
		}
		_ = resp.Body.Close() // nothing of it is wanted
		if hop == maxRedirects {
			return nil, nil, passing(hostOf(u), errRedirects)
		}
		next, err := u.Parse(resp.Header.Get("Location"))
		if err != nil { // holds the address, so it goes no further
			return nil, nil, passing(hostOf(u), errLocation)
		}
		u = next
	}
}

func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return resp.Header.Get("Location") != ""
	}
	return false
}

func (f *fetcher) ask(ctx context.Context, u *url.URL) (*http.Response, error) {
	header := http.Header{
		"User-Agent": {"hookspan"},
		// What is stored should be the file, not a compressed form of it.
		"Accept-Encoding": {"identity"},
	}
	req := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: header}
	resp, err := f.transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, transferFault(ctx, u, err)
	}
	return resp, nil
}

// transferFault is the fault of a request to u or of reading its body.
func transferFault(ctx context.Context, u *url.URL, err error) error {
	host := hostOf(u)
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case isBlocked(err):
		return refuse(host, "if it is meant to be a private one, set consumers.<name>.allow_private", fmt.Errorf("%s: %w", host, err))
	case u.RawQuery != "" && strings.Contains(err.Error(), u.RawQuery):
		err = errAnswer // it repeats the request, and its query may hold a signature
	}
	return passing(host, err)
}
