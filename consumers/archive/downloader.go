package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/dialguard"
	"github.com/hookspan/hookspan/internal/freshconn"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	maxRedirects = 5
	// maxFault bounds the text of a failed request, in bytes.
	maxFault = 1 << 10
)

var (
	errSlow      = errors.New("download took too long")
	errStalled   = errors.New("too few bytes came for too long")
	errRedirects = errors.New("too many redirects")
	errLocation  = errors.New("redirect leads nowhere")
	errResponse  = errors.New("answer is not valid HTTP")
)

// downloader starts downloads. It uses the transport without [http.Client], which writes whole
// addresses into its errors and sends the next host of a redirect the address that led there.
type downloader struct {
	guard   guard
	secure  *freshconn.Transport // for https
	plain   *freshconn.Transport // for http
	timeout time.Duration
	stall   time.Duration
	limit   int64
	pause   time.Duration
	logger  *slog.Logger
}

func newDownloader(c Config) *downloader {
	return &downloader{
		guard: newGuard(c), secure: freshconn.New(newTransport(c, false), 0), plain: freshconn.New(newTransport(c, true), 0),
		timeout: c.Timeout, stall: c.Stall, limit: c.MaxOutput, pause: continuedPause, logger: c.Logger,
	}
}

// get begins to download the address. The caller closes the download. The error is a fault, or
// the cause of ctx's end.
func (f *downloader) get(ctx context.Context, address string) (*download, error) {
	if len(address) > maxURL {
		return nil, &fault{err: errors.New("its address is longer than 8 KiB"), short: "unusable", final: true}
	}
	u, err := readAddress(address)
	if err != nil {
		return nil, &fault{err: err, short: "unusable", final: true}
	}
	ctx, stop := context.WithTimeoutCause(ctx, f.timeout, errSlow)
	r, err := f.rest(ctx, u, resumePoint{})
	if err != nil {
		stop()
		return nil, err
	}
	d := &download{downloader: f, ctx: ctx, stop: stop, address: u, contentType: r.contentType, origin: r.origin, logged: time.Now()}
	d.use(r)
	return d, nil
}

// rest asks for u from a point on. A host may answer with the whole file all the same.
func (f *downloader) rest(ctx context.Context, u *url.URL, from resumePoint) (*response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	resp, last, err := f.follow(ctx, u, from)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	r := &response{
		ctx: ctx, cancel: cancel, host: hostOf(last), url: last, body: resp.Body, contentType: cleanType(resp.Header.Get("Content-Type")),
	}
	err = r.read(resp, from)
	if err == nil && r.origin.length > f.limit {
		err = tooLarge(f.limit)
	}
	if err != nil {
		cancel(nil)
		_ = resp.Body.Close() // nothing of it is wanted
		return nil, err
	}
	return r, nil
}

// follow asks for u and follows its redirects. It returns the first answer that is no redirect,
// with its address.
func (f *downloader) follow(ctx context.Context, u *url.URL, from resumePoint) (*http.Response, *url.URL, error) {
	for hop := 0; ; hop++ {
		if f := f.guard.check(u); f != nil {
			f.final = f.final && hop == 0 // a redirect may lead elsewhere the next time
			return nil, nil, f
		}
		resp, err := f.ask(ctx, u, from)
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

func (f *downloader) ask(ctx context.Context, u *url.URL, from resumePoint) (*http.Response, error) {
	header := http.Header{
		"User-Agent": {"hookspan"},
		// The archive wants the file, not a compressed form of it.
		"Accept-Encoding": {"identity"},
	}
	if from.at > 0 {
		header["Range"] = []string{fmt.Sprintf("bytes=%d-", from.at)}
		header["If-Range"] = []string{from.validator}
	}
	req := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: header}
	transport := f.secure
	if u.Scheme != "https" {
		transport = f.plain
	}
	resp, err := transport.RoundTrip(req.WithContext(ctx))
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
	case errors.Is(err, dialguard.ErrNever):
		return refuse(host, "what is there is not for downloads", fmt.Errorf("%s: %w", host, err))
	case errors.Is(err, dialguard.ErrBlocked):
		return refuse(host, "if it is meant to be a private one, set consumers.<name>.allow_private", fmt.Errorf("%s: %w", host, err))
	case u.RawQuery != "" && strings.Contains(err.Error(), u.RawQuery):
		err = errResponse // err repeats the query, which may hold a signature
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF // a reader takes io.EOF for the end of the file
	case len(err.Error()) > maxFault:
		err = errors.New(printable.Truncate(err.Error(), maxFault)) // err repeats the answer
	}
	return passing(host, err)
}

const logEvery = 30 * time.Second

func (f *downloader) logDownload(d *download) {
	if time.Since(d.logged) < logEvery {
		return
	}
	d.logged = time.Now()
	f.logger.Info("downloading", slog.String("host", d.response.host), slog.String("file", lastPart(d.address)),
		slog.Int64("bytes", d.at), slog.Int64("of", d.origin.length))
}

// lastPart is the end of the path, which tells downloads apart in a log.
func lastPart(u *url.URL) string {
	const longest = 80
	name := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	return strings.ToValidUTF8(name[:min(len(name), longest)], "\uFFFD")
}
