package admin

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Jobs does work on all that match a selection.
type Jobs interface {
	// Plan says what a job would do. Its errors are those of Start.
	Plan(ctx context.Context, o adminapi.JobOrder) (adminapi.JobPlan, error)
	// Start begins a job, or returns the one that was begun with the same key. The error wraps
	// adminapi.ErrJobKind, ErrOtherJob, ErrBusy or ErrNoConsumer.
	Start(ctx context.Context, o adminapi.JobOrder) (adminapi.Job, error)
	// List returns all kept jobs, the newest first.
	List(ctx context.Context) ([]adminapi.Job, error)
	// Get returns a job. The error wraps bridge.ErrNotFound when there is none of that id.
	Get(ctx context.Context, id string) (adminapi.Job, error)
	// Cancel ends a job after the step that it is at. The error is that of Get.
	Cancel(ctx context.Context, id string) (adminapi.Job, error)
}

// RegisterJobs adds the routes about jobs.
func RegisterJobs(api *echo.Group, jobs Jobs) {
	h := jobsAPI{jobs}
	api.POST("/jobs", h.begin)
	api.GET("/jobs", get(h.list))
	api.GET("/jobs/:id", get(func(c echo.Context) (adminapi.Job, error) {
		return found(jobs.Get(c.Request().Context(), c.Param("id")))
	}))
	api.POST("/jobs/:id/cancel", call(func(c echo.Context, _ struct{}) (adminapi.Job, error) {
		return found(jobs.Cancel(c.Request().Context(), c.Param("id")))
	}))
}

type jobsAPI struct{ jobs Jobs }

func found(job adminapi.Job, err error) (adminapi.Job, error) { return job, missing(err, "job") }

func (h jobsAPI) begin(c echo.Context) error {
	o, err := readOrder(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	var answer any
	if o.DryRun {
		answer, err = h.jobs.Plan(ctx, o)
	} else {
		var job adminapi.Job
		job, err = h.jobs.Start(ctx, o)
		answer = job
		becomes(c, "/jobs/"+job.ID)
	}
	switch {
	case errors.Is(err, adminapi.ErrJobKind):
		return echo.NewHTTPError(http.StatusConflict, "This process has no role ingress, and so no secrets: ask one that has it.")
	case errors.Is(err, adminapi.ErrNoConsumer):
		return echo.NewHTTPError(http.StatusNotFound, "There is no such consumer.")
	case errors.Is(err, adminapi.ErrOtherJob):
		return echo.NewHTTPError(http.StatusUnprocessableEntity, "The Idempotency-Key belongs to a job with another call: use a key of its own for each job.")
	case errors.Is(err, adminapi.ErrBusy):
		return echo.NewHTTPError(http.StatusServiceUnavailable, "Too many jobs have not ended: cancel some, or wait.")
	case errors.Is(err, bridge.ErrFull):
		return echo.NewHTTPError(http.StatusServiceUnavailable, "The store has no room for the state of a job: give it more with nats.events.max_bytes.")
	case err != nil:
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

// jobCursor is the cursor behind a job: when it was made, in nanoseconds, and its id.
var jobCursor = regexp.MustCompile(`^([0-9]{1,19})-([a-z0-9]{1,64})$`)

func (h jobsAPI) list(c echo.Context) (list adminapi.JobList, err error) {
	limit := defaultEntries
	if text := c.QueryParam("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxEntries {
			return list, badRequest("limit is 1 to %d", maxEntries)
		}
	}
	at, id := int64(0), ""
	if cursor := c.QueryParam("cursor"); cursor != "" {
		parts := jobCursor.FindStringSubmatch(cursor)
		if parts == nil {
			return list, errCursor
		}
		if at, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
			return list, errCursor
		}
		id = parts[2]
	}
	all, err := h.jobs.List(c.Request().Context())
	list.Jobs = []adminapi.Job{}
	for _, job := range all {
		if made := job.CreatedAt.UnixNano(); id != "" && (made > at || made == at && job.ID >= id) {
			continue
		}
		if len(list.Jobs) == limit {
			last := list.Jobs[limit-1]
			list.Next = strconv.FormatInt(last.CreatedAt.UnixNano(), 10) + "-" + last.ID
			break
		}
		list.Jobs = append(list.Jobs, job)
	}
	return list, err
}
