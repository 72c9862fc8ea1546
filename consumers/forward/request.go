package forward

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/mediatype"
)

// Names of headers of a request. Like those of bridge they are lower case; HTTP ignores case.
const (
	headerPrefix    = "ce-"
	headerType      = "ce-datacontenttype"
	headerWebhookID = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
	headerKey       = "idempotency-key"
	headerAttempt   = "hookspan-attempt"
	headerRepeat    = "hookspan-repeat"
	// net/http finds these in this spelling only.
	headerContentType = "Content-Type"
	headerUserAgent   = "User-Agent"
)

// newRequest makes the request for one attempt on ev. The body is not copied.
//
// Without GetBody the transport sends the request once. With it the transport would repeat a
// request that has an idempotency key and whose connection broke, and neither the target nor the
// count of attempts would know.
func (f *Forwarder) newRequest(ctx context.Context, ev *bridge.Event) *http.Request {
	header := ev.Header()
	for name := range header {
		if !httpguts.ValidHeaderFieldName(name) {
			delete(header, name)
		}
	}
	body, media := ev.Body, contentType(ev.ContentType, ev.Body)
	delete(header, headerType)
	if f.mode == Structured {
		body = structured(header, media, body)
		media = structuredType
	}
	if media != "" {
		header[headerContentType] = []string{media}
	}
	attempt := consumers.AttemptOf(ctx)
	attempt.Consumer = f.name
	header[headerUserAgent] = f.userAgent
	header[headerAttempt] = []string{strconv.Itoa(attempt.Number)}
	if attempt.Repeat {
		header[headerRepeat] = []string{"true"}
	}
	header[headerKey] = []string{quoted(attempt.IdempotencyKey(ev))}
	id := webhookID(ev.MsgID())
	timestamp, signature := sign(*f.keys.Load(), id, time.Now(), body)
	header[headerWebhookID] = []string{id}
	header[headerTimestamp] = []string{timestamp}
	header[headerSignature] = []string{signature}

	req := f.template.WithContext(ctx)
	req.Header = http.Header(header)
	req.Body, req.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	return req
}

// contentType is the content type of the body in HTTP and in the attribute datacontenttype. An
// event that the bridge stored has a usable one. An event that another program stored may not: a
// receiver must neither choke on it nor take the body for the event itself.
func contentType(stored string, body []byte) string {
	if stored == "" || mediatype.IsData(stored) {
		return stored
	}
	media, _, err := mime.ParseMediaType(stored)
	switch {
	case errors.Is(err, mime.ErrInvalidMediaParameter) && mediatype.IsData(media):
		return media
	case utf8.Valid(body) && json.Valid(body):
		return mediatype.JSON
	}
	return "application/octet-stream"
}

// quoted is the string of draft-ietf-httpapi-idempotency-key-header, written by RFC 8941,
// section 3.3.3. A key holds no quote.
func quoted(key string) string { return `"` + strings.ReplaceAll(key, `\`, `\\`) + `"` }
