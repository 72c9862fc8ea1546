package provider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/retryafter"
)

// Errors of submitting. An error of [Client.Submit] wraps one of them, or [ErrNoKey], after
// which nothing was sent either.
var (
	// ErrNotSent: the provider has not seen the submission.
	ErrNotSent = errors.New("the submission was not sent")
	// ErrUnknownOutcome: the provider may have accepted the submission. Submitting it again
	// could cost twice.
	ErrUnknownOutcome = errors.New("it is not known whether the provider accepted the submission")
)

// Response is the answer of a provider to a submission.
type Response struct {
	// Status is HTTP's, or the envelope's code when HTTP said 200 and the envelope did not.
	Status int
	// Message is the provider's text, printable and at most 256 bytes.
	Message string
	// RetryAfter is when to try again, 0 when the provider did not say, at most an hour.
	RetryAfter time.Duration
	// Body is the whole answer of a success.
	Body []byte
	// Object is the prediction in the answer, nil when there is none. A refusal may hold
	// one too.
	Object []byte
	// Stream holds the server-sent events of a streamed answer, without the key. The caller
	// closes it; only the caller's context bounds it.
	Stream io.ReadCloser
}

// OK reports whether the provider accepted it.
func (r *Response) OK() bool { return r.Status >= 200 && r.Status <= 299 }

// tries bounds how often a submission that did not leave this machine is sent. The pause
// before the second try doubles before the third.
const (
	tries = 3
	pause = 250 * time.Millisecond
)

// Submit submits a prediction of the model, which satisfies [CheckModel]. It sends the
// submission again only if nothing of it has left this machine. It returns within
// Config.Timeout; ctx should not end when the client that wants the prediction leaves.
func (c *Client) Submit(ctx context.Context, model string, body []byte) (*Response, error) {
	key := *c.key.Load()
	if len(key) == 0 {
		return nil, fmt.Errorf("submitting to the provider: %w", c.errNoKey())
	}
	if err := CheckModel(model); err != nil {
		return nil, fmt.Errorf("submitting to the provider: %w: %w", ErrNotSent, err)
	}
	// A stream lasts longer than Timeout, which bounds its beginning.
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(c.cfg.Timeout, func() {
		cancel(fmt.Errorf("it did not answer within %v: %w", c.cfg.Timeout, context.DeadlineExceeded))
	})
	res, err := c.try(ctx, model, key, body)
	inTime := late.Stop()
	if err != nil || res.Stream == nil {
		cancel(nil)
		if err != nil {
			err = fmt.Errorf("submitting to the provider: %w", err)
		}
		return res, err
	}
	in := &stream{in: res.Stream, key: key, end: func() { cancel(nil) }}
	if !inTime {
		_ = in.Close() // it has told nothing yet
		return nil, fmt.Errorf("submitting to the provider: %w: %w", ErrUnknownOutcome, context.DeadlineExceeded)
	}
	res.Stream = in
	return res, nil
}

// try posts the submission until it has left this machine.
func (c *Client) try(ctx context.Context, model string, key, body []byte) (*Response, error) {
	for n := 1; ; n++ {
		res, err := c.post(ctx, model, key, body)
		if n == tries || !errors.Is(err, ErrNotSent) || !backoff.Sleep(ctx, time.Duration(n)*pause) {
			return res, err
		}
		c.cfg.Logger.Warn("a submission did not reach the provider and is sent again", zap.String("source", c.cfg.Source), zap.Error(err))
	}
}

func (c *Client) post(ctx context.Context, model string, key, body []byte) (*Response, error) {
	var sent sending
	req, err := c.newRequest(sent.trace(ctx), http.MethodPost, modelPath(model), key, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	req.Header.Set("Content-Type", mediaJSON)
	req.Header.Set("Accept", mediaJSON+", "+mediaStream)
	res, err := send(c.submits, req)
	if err != nil {
		kind := ErrUnknownOutcome
		if !sent.begun() {
			kind = ErrNotSent
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("%w: %w", kind, withoutURL(err, key))
	}
	if res.StatusCode < 300 && mediaType(res) == mediaStream {
		return &Response{Status: res.StatusCode, Stream: res.Body}, nil
	}
	defer func() { _ = res.Body.Close() }()
	return c.answered(ctx, res, key)
}

// answered reads an answer that is no stream.
func (c *Client) answered(ctx context.Context, res *http.Response, key []byte) (*Response, error) {
	r := &Response{Status: res.StatusCode, RetryAfter: min(retryafter.Parse(res.Header.Get("Retry-After"), time.Now()), maxRetryAfter)}
	switch {
	case res.StatusCode >= 400:
		a, _, _ := explained(res)
		r.Message, r.Object = plainText(a.message, key), Censor(a.object, key)
		return r, nil
	case res.StatusCode >= 300:
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, redirected(res, key))
	}
	body, err := c.readWhole(res, key)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	a, err := parseAnswer(body)
	if err != nil {
		return nil, fmt.Errorf("%w: its answer cannot be read: %w", ErrUnknownOutcome, withoutURL(err, key))
	}
	r.Message, r.Object = plainText(a.message, key), a.object
	if a.failed() {
		r.Status = a.code
		return r, nil
	}
	r.Body = body
	return r, nil
}
