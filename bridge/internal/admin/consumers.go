package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Consumers manages every durable reader of events. An error wraps adminapi.ErrNoConsumer
// for an unknown name, and adminapi.ErrPredictionsConsumer when the change is not allowed
// for that consumer.
type Consumers interface {
	List(ctx context.Context) ([]adminapi.ConsumerState, error)
	// Add creates a durable. The error wraps adminapi.ErrConsumerExists for a name in use,
	// and adminapi.ErrConfigured for a name of the configuration.
	Add(ctx context.Context, c adminapi.AddCall) error
	// Pause stops the delivery until then; zero is until it is resumed.
	Pause(ctx context.Context, name string, until time.Time) error
	Resume(ctx context.Context, name string) error
	Seek(ctx context.Context, name string, to adminapi.ConsumerPosition, dryRun bool) (adminapi.ConsumerSeek, error)
	// Remove removes a consumer but keeps its dead letters. The error wraps
	// adminapi.ErrConfigured for a consumer of the configuration, which would come back.
	Remove(ctx context.Context, name string, dryRun bool) (adminapi.RemovedConsumer, error)
	// Skips counts the events that wait for a consumer and that the filter would pass over.
	Skips(ctx context.Context, name string, filter bridge.Filter) (uint64, error)
	// LeftBehind lists where events wait that no configured consumer reads.
	LeftBehind() []adminapi.LeftBehind
}

// RegisterConsumers adds the routes about consumers.
func RegisterConsumers(api *echo.Group, consumers Consumers) {
	h := consumersAPI{consumers}
	api.GET("/consumers", get(h.list))
	api.POST("/consumers", get(h.add))
	api.GET("/consumers/:name", get(h.show))
	api.POST("/consumers/:name/pause", call(h.pause))
	api.POST("/consumers/:name/resume", call(h.resume))
	api.POST("/consumers/:name/seek", call(h.seek))
	api.POST("/consumers/:name/remove", call(h.remove))
	api.POST("/consumers/:name/filter-skips", call(h.skips))
}

type consumersAPI struct{ consumers Consumers }

func (h consumersAPI) list(c echo.Context) (adminapi.ConsumerList, error) {
	list, err := h.consumers.List(c.Request().Context())
	return adminapi.ConsumerList{Consumers: append([]adminapi.ConsumerState{}, list...), LeftBehind: h.consumers.LeftBehind()}, err
}

func (h consumersAPI) skips(c echo.Context, call adminapi.FilterCall) (skips adminapi.FilterSkips, err error) {
	filter := call.Filter()
	if err := filter.Validate(); err != nil {
		return skips, badRequest("%v", err)
	}
	skips.Skips, err = h.consumers.Skips(c.Request().Context(), c.Param("name"), filter)
	return skips, h.told(c, err)
}

const (
	maxAddLease       = 3600
	leastDeliveries   = 2 // with one delivery the server does not report what it gave up
	mostDeliveries    = 10_000
	defaultDeliveries = 20
	defaultAddLease   = 30
)

func (h consumersAPI) add(c echo.Context) (state adminapi.ConsumerState, err error) {
	call := adminapi.AddCall{LeaseSeconds: defaultAddLease, MaxDeliveries: defaultDeliveries}
	if err := decodeCall(c, &call); err != nil {
		return state, err
	}
	filter := call.Filter()
	if _, rest := filter.Subjects(bridge.Names{}); rest {
		return state, badRequest("model is more than NATS can filter by, and nobody else would: use whole parts and one * at the end, such as google/*")
	}
	for _, err := range []error{bridge.CheckName("consumer", call.Name), filter.Validate()} {
		if err != nil {
			return state, badRequest("%v", err)
		}
	}
	switch _, err := time.Parse(time.RFC3339, call.Start); {
	case err != nil && call.Start != "" && call.Start != "new" && call.Start != "all":
		return state, badRequest("start is new, all, or a time such as 2026-01-31T15:04:05Z")
	case call.LeaseSeconds < 1 || call.LeaseSeconds > maxAddLease:
		return state, badRequest("lease_seconds is 1 to %d", maxAddLease)
	case call.MaxDeliveries < leastDeliveries || call.MaxDeliveries > mostDeliveries:
		return state, badRequest("max_deliveries is %d to %d", leastDeliveries, mostDeliveries)
	}
	selects(c, call)
	if err := h.consumers.Add(c.Request().Context(), call); err != nil {
		return state, h.told(c, err)
	}
	changes(c, 1)
	return h.find(c, call.Name)
}

func (h consumersAPI) show(c echo.Context) (adminapi.ConsumerState, error) {
	return h.find(c, c.Param("name"))
}

func (h consumersAPI) find(c echo.Context, name string) (adminapi.ConsumerState, error) {
	list, err := h.consumers.List(c.Request().Context())
	if err != nil {
		return adminapi.ConsumerState{}, err
	}
	for _, s := range list {
		if s.Name == name {
			return s, nil
		}
	}
	return adminapi.ConsumerState{}, noConsumer(list)
}

// noConsumer is a 404 that lists the existing names.
func noConsumer(list []adminapi.ConsumerState) error {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.Name
	}
	slices.Sort(names)
	return echo.NewHTTPError(http.StatusNotFound, "There is no such consumer: use one of "+strings.Join(names, ", ")+".")
}

func (h consumersAPI) pause(c echo.Context, call adminapi.PauseCall) (adminapi.ConsumerState, error) {
	if !call.Until.IsZero() && !call.Until.After(time.Now()) {
		return adminapi.ConsumerState{}, badRequest("until is over: name a time to come, or none to pause until it is resumed")
	}
	return h.then(c, h.consumers.Pause(c.Request().Context(), c.Param("name"), call.Until))
}

func (h consumersAPI) resume(c echo.Context, _ struct{}) (adminapi.ConsumerState, error) {
	return h.then(c, h.consumers.Resume(c.Request().Context(), c.Param("name")))
}

// then answers the consumer's state after a change.
func (h consumersAPI) then(c echo.Context, err error) (adminapi.ConsumerState, error) {
	if err != nil {
		return adminapi.ConsumerState{}, h.told(c, err)
	}
	changes(c, 1)
	return h.show(c)
}

func (h consumersAPI) seek(c echo.Context, call adminapi.SeekCall) (sought adminapi.ConsumerSeek, err error) {
	given := 0
	for _, is := range []bool{call.First, call.New, !call.Since.IsZero(), call.Sequence > 0} {
		if is {
			given++
		}
	}
	if given != 1 {
		return sought, badRequest("give one of first, new, since and seq")
	}
	sought, err = h.consumers.Seek(c.Request().Context(), c.Param("name"), call.ConsumerPosition, call.DryRun)
	if err == nil {
		changes(c, 1)
	}
	return sought, h.told(c, err)
}

func (h consumersAPI) remove(c echo.Context, call adminapi.RemoveCall) (adminapi.RemovedConsumer, error) {
	removed, err := h.consumers.Remove(c.Request().Context(), c.Param("name"), call.DryRun)
	if err == nil {
		changes(c, 1)
	}
	return removed, h.told(c, err)
}

// told turns errors that the caller can act on into their answers.
func (h consumersAPI) told(c echo.Context, err error) error {
	switch {
	case errors.Is(err, adminapi.ErrNoConsumer):
		list, err := h.consumers.List(c.Request().Context())
		if err != nil {
			return err
		}
		return noConsumer(list)
	case errors.Is(err, adminapi.ErrConfigured):
		return echo.NewHTTPError(http.StatusConflict, "The configuration names this consumer: change it there and restart; what is not named there any more can be removed.")
	case errors.Is(err, adminapi.ErrPredictionsConsumer):
		return echo.NewHTTPError(http.StatusConflict, "The dead letters of predictions that were given up have this name: use another one.")
	case errors.Is(err, adminapi.ErrConsumerExists):
		return echo.NewHTTPError(http.StatusConflict, "There is a consumer of that name: use another one, or remove it first.")
	}
	return err
}
