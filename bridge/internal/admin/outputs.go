package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// maxReading bounds the outputs that are read at the same time, apart from other requests.
const maxReading = 64

// Outputs opens what archives have stored of predictions.
type Outputs interface {
	// Erased reports whether a prediction was erased for good.
	Erased(source, id string) bool
	// Open opens output n of a prediction at the address of its state. The error wraps
	// adminapi.ErrNoArchive for an address that is in no archive of this process, and
	// fs.ErrNotExist when the archive has no such file any more; any other error says that the
	// archive cannot be read now. The end of ctx ends every read.
	Open(ctx context.Context, source, id string, n int, address string) (*OutputFile, error)
}

// OutputFile is a stored output that is open for reading.
type OutputFile struct {
	io.ReadSeekCloser

	Size int64
	// Head is how the file begins, 512 bytes or all of it.
	Head []byte
}

// RegisterOutputs adds the route of archived outputs.
func RegisterOutputs(api *echo.Group, p Predictions, o Outputs, log *zap.Logger) {
	registerOutputs(api, outputsAPI{predictionsAPI{predictions: p}, o, readTime, log, &rate.Sometimes{First: 1, Interval: time.Minute}})
}

func registerOutputs(api *echo.Group, h outputsAPI) {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		api.Add(method, "/predictions/:source/:id/outputs/:n", h.serve)
	}
}

// readsOutput reports whether the request is for an archived output.
func readsOutput(r *http.Request) bool {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), APIPrefix+"/predictions/")
	parts := strings.Split(path, "/")
	return ok && (r.Method == http.MethodGet || r.Method == http.MethodHead) && len(parts) == 4 && parts[2] == "outputs"
}

type outputsAPI struct {
	predictionsAPI

	outputs Outputs
	// within is how long the client may take to read what was written last.
	within  time.Duration
	log     *zap.Logger
	failing *rate.Sometimes
}

var (
	errErased = echo.NewHTTPError(http.StatusNotFound, "This prediction was erased, and its outputs with it.")
	errGone   = echo.NewHTTPError(http.StatusNotFound, "The archive does not have the file any more: see the manifest of the prediction, and whether somebody has moved or removed files.")
)

// serve answers an archived output, or the part of it that Range names.
func (h outputsAPI) serve(c echo.Context) error {
	source, id, err := predictionOf(c)
	if err != nil {
		return err
	}
	n, err := pathOutput(c)
	if err != nil {
		return err
	}
	o, err := h.stored(c.Request().Context(), source, id, n)
	if err != nil {
		return err
	}
	tag := tagOf(o)
	if tag != "" && c.Request().Header.Get("If-None-Match") == tag { // the archive need not be asked
		setOutputHeader(c.Response().Header(), tag)
		return c.NoContent(http.StatusNotModified)
	}
	f, err := h.outputs.Open(c.Request().Context(), source, id, n, o.StoredURL)
	if err != nil {
		return h.notOpened(c.Request().Context(), err)
	}
	defer func() { _ = f.Close() }() // opened for reading
	if f.Size != o.Bytes {
		return echo.NewHTTPError(http.StatusNotFound, fmt.Sprintf("The file in the archive has %d bytes, and the one that was archived had %d: somebody has changed it.", f.Size, o.Bytes))
	}
	return h.send(c, f, o, outputFileName(id, n, o))
}

var outputNumber = regexp.MustCompile(`^(0|[1-9][0-9]{0,4})$`)

func pathOutput(c echo.Context) (int, error) {
	if text := c.Param("n"); outputNumber.MatchString(text) {
		return strconv.Atoi(text)
	}
	return 0, badRequest("outputs are numbered from 0 on")
}

// stored returns the state of an output that an archive has.
func (h outputsAPI) stored(ctx context.Context, source, id string, n int) (o bridge.OutputState, err error) {
	if h.outputs.Erased(source, id) {
		return o, errErased
	}
	s, err := h.lookUp(ctx, source, id)
	if err != nil {
		return o, notFound(err)
	}
	s.Expire(time.Now(), h.predictions.Life(source))
	if n < len(s.Outputs) {
		o = s.Outputs[n]
	}
	if o.Custody == bridge.CustodyStored && o.StoredURL != "" {
		return o, nil
	}
	return o, echo.NewHTTPError(http.StatusNotFound, whyNotStored(s, n, o))
}

func whyNotStored(s *bridge.PredictionState, n int, o bridge.OutputState) string {
	switch {
	case n >= s.OutputCount:
		return fmt.Sprintf("The prediction has %d outputs, which are numbered from 0 on.", s.OutputCount)
	case n >= len(s.Outputs) || o.Custody == bridge.CustodyStored:
		return "Where this output is archived is not known here: the manifest of the prediction says it."
	case o.Custody == bridge.CustodyFailed:
		return "The archive gave this output up: " + o.Error
	case o.Custody == bridge.CustodyExpired:
		return "The provider has deleted this output, and no archive has it."
	}
	return "This output is not archived yet: see how the archive does with hookspan consumers list."
}

// notOpened turns an error of [Outputs.Open] into its answer.
func (h outputsAPI) notOpened(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, adminapi.ErrNoArchive):
		return echo.NewHTTPError(http.StatusNotFound, "This process reads no archive that has the output: ask the bridge that runs the archive of its stored_url.")
	case errors.Is(err, fs.ErrNotExist):
		return errGone
	case ctx.Err() != nil: // nobody waits for the answer, or the process stops
	default:
		h.failing.Do(func() { h.log.Warn("an archive cannot be read", zap.Error(err)) })
	}
	return unavailable("The archive cannot be read now: see that its disk or bucket is there and that this process may read it, then try again.")
}
