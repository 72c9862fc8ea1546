package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// submitWrite bounds a submission from its headers to its answer: the provider has 30
	// s, and recording its answer 10 s more.
	submitWrite = 75 * time.Second
	// relayWrite is how long a client may take to accept one event of a stream.
	relayWrite = 30 * time.Second
	// metaPrefix begins the query parameters of the metadata.
	metaPrefix = "meta."
)

// Submitter submits predictions.
type Submitter interface {
	// Submit returns when the prediction is recorded. When the provider streams, relay gets
	// each event, and Submit returns at the end of the stream. The error is a
	// *adminapi.SubmitError. A client that leaves ends nothing. Submit bounds the number of
	// streams.
	Submit(ctx context.Context, sub adminapi.Submission, relay func(event []byte) error) (*bridge.Submitted, error)
}

// RegisterSubmit adds the route that submits predictions.
func RegisterSubmit(api *echo.Group, s Submitter) {
	api.POST("/predictions/:source/*", submitAPI{s}.submit)
}

type submitAPI struct{ submitter Submitter }

func (h submitAPI) submit(c echo.Context) error {
	sub, err := submission(c)
	if err != nil {
		return err
	}
	control := http.NewResponseController(c.Response())
	now := time.Now()
	// The server's own deadline would end the request's context too early.
	if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(now.Add(submitWrite))); err != nil {
		return err
	}
	relay := relay{c: c, control: control}
	done, err := h.submitter.Submit(c.Request().Context(), sub, relay.event)
	if err == nil {
		changes(c, 1)
	}
	switch {
	case relay.begun && err != nil:
		relay.fail(err)
		return nil
	case relay.begun:
		return nil
	case err != nil:
		return submitError(c, err)
	}
	return c.JSON(http.StatusOK, done)
}

// submission reads a submission; the submitter checks it.
func submission(c echo.Context) (sub adminapi.Submission, err error) {
	r := c.Request()
	sub.Source = c.Param("source")
	if sub.Model, err = modelOf(r.URL.EscapedPath()); err != nil {
		return sub, err
	}
	for name, values := range c.QueryParams() {
		if len(values) != 1 {
			return sub, badRequest("%.64s is given more than once", name)
		}
		switch meta, isMeta := strings.CutPrefix(name, metaPrefix); {
		case isMeta:
			if sub.Metadata == nil {
				sub.Metadata = map[string]string{}
			}
			sub.Metadata[meta] = values[0]
		case name == "reference":
			sub.Reference = values[0]
		case name == "tenant":
			sub.Tenant = values[0]
		case name == "deadline":
			if sub.Deadline, err = queryTime(c, name); err != nil {
				return sub, err
			}
		default:
			return sub, badRequest("there is no parameter %.64q: use reference, tenant, deadline and meta.<name>", name)
		}
	}
	keys := r.Header.Values("Idempotency-Key")
	if len(keys) > 1 || len(keys) == 1 && keys[0] == "" {
		return sub, badRequest("Idempotency-Key is given once, and is not empty")
	}
	sub.IdempotencyKey = strings.Join(keys, "")
	sub.Body, err = io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, adminapi.MaxSubmission))
	if _, large := errors.AsType[*http.MaxBytesError](err); err != nil && !large {
		return sub, badRequest("the body did not arrive whole")
	}
	return sub, err
}

// modelOf returns the path behind the source. Its slashes may be encoded, as clients do that
// take the model for one segment.
func modelOf(path string) (string, error) {
	_, rest, _ := strings.Cut(strings.TrimPrefix(path, APIPrefix+"/predictions/"), "/")
	model, err := url.PathUnescape(rest)
	if err != nil {
		return "", badRequest("the path of the model cannot be read: write one such as get3w/flux-dev")
	}
	return model, nil
}

// submitError is the answer to a submission that has no prediction to show.
func submitError(c echo.Context, err error) error {
	failed, ok := errors.AsType[*adminapi.SubmitError](err)
	if !ok {
		return err
	}
	if after := failed.RetryAfter; after > 0 {
		c.Response().Header().Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
	return echo.NewHTTPError(failed.Status, failed.Detail).SetInternal(err)
}

// relay writes a stream of events for one request.
type relay struct {
	c       echo.Context
	control *http.ResponseController
	begun   bool
}

func (r *relay) event(event []byte) error {
	if !r.begun {
		r.begun = true
		leaveInFlight(r.c.Request().Context())
		h := r.c.Response().Header()
		h.Set(echo.HeaderContentType, "text/event-stream")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no") // otherwise nginx holds events back
		r.c.Response().WriteHeader(http.StatusOK)
	}
	if err := r.control.SetWriteDeadline(time.Now().Add(relayWrite)); err != nil {
		return err
	}
	if _, err := r.c.Response().Write(event); err != nil {
		return err
	}
	return r.control.Flush()
}

// fail sends the error as an event, since the status is sent already.
func (r *relay) fail(err error) {
	detail := "The stream was cut off."
	if failed, ok := errors.AsType[*adminapi.SubmitError](err); ok {
		detail = failed.Detail
	}
	text, err := json.Marshal(map[string]string{"detail": detail})
	if err == nil {
		_ = r.event([]byte("event: error\ndata: " + string(text) + "\n\n")) // the client may be gone
	}
}
