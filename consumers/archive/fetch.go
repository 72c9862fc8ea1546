package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/internal/freshconn"
	"github.com/hookspan/hookspan/internal/neverdial"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	maxRedirects = 5
	// maxFault bounds what is kept of what went wrong with a request, in bytes.
	maxFault = 1 << 10
)

var (
	errSlow      = errors.New("download took too long")
	errStalled   = errors.New("nothing came for too long, or next to nothing")
	errRedirects = errors.New("too many redirects")
	errLocation  = errors.New("redirect leads nowhere")
	errAnswer    = errors.New("answer is not valid HTTP")
)

// fetcher starts downloads. It uses the transport without [http.Client], which
// writes whole addresses into its errors and tells the next host of a redirect
// the address that led there.
type fetcher struct {
	guard     guard
	transport *freshconn.Transport
	timeout   time.Duration
	stall     time.Duration
	limit     int64
	pause     time.Duration
	logger    *zap.Logger
}

func newFetcher(c Config) *fetcher {
	return &fetcher{
		guard: newGuard(c), transport: freshconn.New(newTransport(c), 0), timeout: c.Timeout, stall: c.Stall, limit: c.MaxOutput, pause: continuedPause, logger: c.Logger,
	}
}

// get asks for what of the address is not there yet and returns the download, which
// begins with the first byte if the sender wants it so. The caller must close it.
// The error is a fault, or the cause why ctx ended.
func (f *fetcher) get(ctx context.Context, address string, there progress) (*download, error) {
	if len(address) > maxURL {
		return nil, &fault{err: errors.New("its address is longer than 8 KiB"), short: "unusable", final: true}
	}
	u, err := readAddress(address)
	if err != nil {
		return nil, &fault{err: err, short: "unusable", final: true}
	}
	plain := withoutQuery(address)
	if there.URL != plain {
		there = progress{}
	}
	ctx, stop := context.WithTimeoutCause(ctx, f.timeout, errSlow)
	a, err := f.rest(ctx, u, there)
	if err != nil {
		stop()
		return nil, err
	}
	d := &download{fetcher: f, ctx: ctx, stop: stop, address: u, contentType: a.contentType, origin: a.origin, logged: time.Now()}
	d.origin.URL = plain
	d.use(a)
	return d, nil
}

// answer is one answer with a body, from byte at of the file on.
type answer struct {
	ctx         context.Context // of the request: ends when it stalls
	cancel      context.CancelCauseFunc
	from        *url.URL // what the redirects led to
	body        io.ReadCloser
	at          int64
	contentType string
	origin      origin
}

func (a *answer) close() {
	a.cancel(nil)
	_ = a.body.Close() // whether all of it came is known already
}

// rest asks for u from where that ends which is there.
func (f *fetcher) rest(ctx context.Context, u *url.URL, there progress) (*answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	resp, last, err := f.follow(ctx, u, there)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	a := &answer{
		ctx: ctx, cancel: cancel, from: last, body: resp.Body, contentType: cleanType(resp.Header.Get("Content-Type")),
	}
	err = a.read(resp, there)
	if err == nil && a.origin.Length > f.limit {
		err = tooLarge(f.limit)
	}
	if err != nil {
		cancel(nil)
		_ = resp.Body.Close() // nothing of it is wanted
		return nil, err
	}
	return a, nil
}

// follow asks for u, and for what it redirects to, and returns the first answer
// that is no redirect, with the address that gave it.
func (f *fetcher) follow(ctx context.Context, u *url.URL, there progress) (*http.Response, *url.URL, error) {
	for hop := 0; ; hop++ {
		if f := f.guard.check(u); f != nil {
			f.final = f.final && hop == 0 // a redirect may lead elsewhere the next time
			return nil, nil, f
		}
		resp, err := f.ask(ctx, u, there)
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
		next, err := resolve(u, resp.Header.Get("Location"))
		if err != nil {
			return nil, nil, passing(hostOf(u), err)
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

func (f *fetcher) ask(ctx context.Context, u *url.URL, there progress) (*http.Response, error) {
	header := http.Header{
		"User-Agent": {"hookspan"},
		// What is stored should be the file, not a compressed form of it.
		"Accept-Encoding": {"identity"},
	}
	if there.bytes > 0 {
		header["Range"] = []string{fmt.Sprintf("bytes=%d-", there.bytes)}
		header["If-Range"] = []string{there.Validator}
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
	case errors.Is(err, neverdial.ErrNever):
		return refuse(host, "what is there is not for downloads", fmt.Errorf("%s: %w", host, err))
	case isBlocked(err):
		return refuse(host, "if it is meant to be a private one, set consumers.<name>.allow_private", fmt.Errorf("%s: %w", host, err))
	case u.RawQuery != "" && strings.Contains(err.Error(), u.RawQuery):
		err = errAnswer // it repeats the request, and its query may hold a signature
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF // whoever reads takes the other one for the end of the file
	case len(err.Error()) > maxFault:
		err = errors.New(printable.Truncate(err.Error(), maxFault)) // it repeats the answer
	}
	return passing(host, err)
}

// progressEvery is how often a download that takes long is told of.
const progressEvery = 30 * time.Second

func (f *fetcher) logProgress(d *download) {
	if time.Since(d.logged) < progressEvery {
		return
	}
	d.logged = time.Now()
	f.logger.Info("downloading", zap.String("host", hostOf(d.answer.from)), zap.String("file", lastPart(d.address)),
		zap.Int64("bytes", d.at), zap.Int64("of", d.origin.Length))
}

// lastPart is the end of the path, which tells downloads apart in a log.
func lastPart(u *url.URL) string {
	const longest = 80
	name := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	return strings.ToValidUTF8(name[:min(len(name), longest)], "\uFFFD")
}
