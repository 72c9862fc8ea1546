package admin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/eventstream"
)

const (
	// maxLive bounds the live streams, apart from other requests.
	maxLive = 200
	// liveTime is how long the client of a live stream may take to read what it was sent.
	liveTime = 10 * time.Second
	// liveRetry is after how many milliseconds a client comes again, and as much again at
	// random, so that those whose bridge was restarted do not come together.
	liveRetry = 2000
	// maxTold is about how many bytes are written at once.
	maxTold = 64 << 10
)

// Live tells what is stored as it is stored.
type Live interface {
	// Events calls tell with events, in order, until ctx ends, tell returns an error, or the
	// client is too slow. Tell is called at once, and at least once in 15 s, also with no items.
	// When the selection's consumer cannot be looked up, tell is not called; the error wraps
	// bridge.ErrNotFound when there is none of that name.
	Events(ctx context.Context, sel adminapi.LiveEvents, tell func([]adminapi.LiveItem) error) error
	// Alarms is the same for alarms.
	Alarms(ctx context.Context, sel adminapi.LiveAlarms, tell func([]adminapi.LiveItem) error) error
}

// RegisterLive adds the routes of live streams.
func RegisterLive(api *echo.Group, live Live) {
	api.GET("/events/live", func(c echo.Context) error {
		filter, prediction := queryFilter(c).Filter(), c.QueryParam("prediction")
		if err := filter.Validate(); err != nil {
			return badRequest("%v", err)
		}
		if len(prediction) > bridge.MaxPredictionID {
			return badRequest("prediction has at most %d bytes", bridge.MaxPredictionID)
		}
		consumer := c.QueryParam("consumer")
		if consumer != "" && bridge.CheckName("consumer", consumer) != nil {
			return missing(bridge.ErrNotFound, "consumer")
		}
		return serveLive(c, func(ctx context.Context, p adminapi.LivePlace, tell func([]adminapi.LiveItem) error) error {
			return live.Events(ctx, adminapi.LiveEvents{LivePlace: p, Filter: filter, Prediction: prediction, Consumer: consumer}, tell)
		})
	})
	api.GET("/alarms/live", func(c echo.Context) error {
		return serveLive(c, func(ctx context.Context, p adminapi.LivePlace, tell func([]adminapi.LiveItem) error) error {
			return live.Alarms(ctx, adminapi.LiveAlarms{LivePlace: p, Kind: c.QueryParam("kind"), Subject: c.QueryParam("subject")}, tell)
		})
	})
}

// isLive reports whether the request is for a live stream.
func isLive(r *http.Request) bool {
	path := r.URL.EscapedPath()
	return r.Method == http.MethodGet && (path == APIPrefix+"/events/live" || path == APIPrefix+"/alarms/live")
}

func serveLive(c echo.Context, follow func(context.Context, adminapi.LivePlace, func([]adminapi.LiveItem) error) error) error {
	place, err := queryPlace(c)
	if err != nil {
		return err
	}
	// A client comes again by itself, with the rights that it has by then.
	ctx, cancel := context.WithTimeout(c.Request().Context(), maxFollow)
	defer cancel()
	out := eventStream{c: c, within: liveTime}
	err = follow(ctx, place, out.tell)
	switch {
	case out.begun:
		return nil // the end of the stream says it
	case errors.Is(err, bridge.ErrNotFound):
		return missing(err, "consumer")
	}
	return unavailable(c, "NATS does not answer, or the process stops: try again.")
}

// tell writes items, or with none shows whether the client is still there.
func (s *eventStream) tell(items []adminapi.LiveItem) error {
	first := !s.begun
	if err := s.begin(); err != nil {
		return err
	}
	write := func(text []byte) error {
		_, err := s.c.Response().Write(text)
		return err
	}
	if first {
		if err := write(fmt.Appendf(nil, "retry: %d\n\n", liveRetry+rand.IntN(liveRetry))); err != nil { //nolint:gosec // only for spreading
			return err
		}
	}
	if len(items) == 0 {
		if err := write(eventstream.Append(nil, "", nil, nil)); err != nil {
			return err
		}
	}
	s.buffer = s.buffer[:0]
	for i := range items {
		s.buffer = eventstream.Append(s.buffer, items[i].Name, &items[i].Sequence, items[i].Data)
		if len(s.buffer) >= maxTold || i == len(items)-1 {
			if err := write(s.buffer); err != nil {
				return err
			}
			s.buffer = s.buffer[:0]
		}
	}
	return s.flush()
}

// queryPlace reads rate, and Last-Event-ID, which a browser sends in the header when it comes
// again, and which a page that knows its place sends as last_event_id.
func queryPlace(c echo.Context) (p adminapi.LivePlace, err error) {
	text := c.QueryParam("last_event_id")
	if header := c.Request().Header.Get("Last-Event-ID"); header != "" {
		text = header
	}
	if text != "" {
		seq, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return p, badRequest("Last-Event-ID is the id of an event of this stream, a number")
		}
		p.After = &seq
	}
	if text := c.QueryParam("rate"); text != "" {
		if p.Rate, err = strconv.Atoi(text); err != nil || p.Rate < 1 || p.Rate > adminapi.MaxLiveRate {
			return p, badRequest("rate is 1 to %d events a second", adminapi.MaxLiveRate)
		}
	}
	return p, nil
}
