package admin

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// ReadOrder reads the body of a call for a job.
func ReadOrder(body []byte) (adminapi.JobOrder, error) {
	req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	return readOrder(echo.New().NewContext(req, httptest.NewRecorder()))
}

// SetTimeouts changes the limits of short requests. Call it before Run.
func (s *Server) SetTimeouts(d time.Duration) { s.http.ReadTimeout, s.http.WriteTimeout = d, d }

// SetMaxWaiting changes how many requests may wait. Call it before Run.
func (s *Server) SetMaxWaiting(n int64) { s.waiting = semaphore.NewWeighted(n) }

// WaitForHeaders lifts the limit for reading headers. Call it before Run.
func (s *Server) WaitForHeaders() { s.http.ReadHeaderTimeout = time.Hour }

// OpenAPI is the document.
func OpenAPI() []byte { return openAPI }

// Routes are those of the listener and of the API.
func (s *Server) Routes() []*echo.Route {
	return append(s.handler(prometheus.NewRegistry(), nil, false).(*echo.Echo).Routes(), s.api.Load().Routes()...)
}

// ScopeOf is the scope that a route needs.
var ScopeOf = scopeOf

// HeaderBytes is the size of the unfinished headers.
func (s *Server) HeaderBytes() int64 { return s.headers.Used() }

// Bearer is the parser of the header that carries a token.
var Bearer = bearer

// Cut is how texts are cut for the audit.
var Cut = cut

// RegisterImpatientOutputs adds the route of outputs, whose clients have that long to read.
func RegisterImpatientOutputs(api *echo.Group, p Predictions, o Outputs, within time.Duration) {
	registerOutputs(api, outputsAPI{predictionsAPI{predictions: p}, o, within, zap.NewNop(), &rate.Sometimes{}})
}

// OutputFileName is the name under which an output is saved.
var OutputFileName = outputFileName

// ShownType judges how an output is sent.
var ShownType = shownType

// MaxReading bounds the outputs that are read at the same time.
const MaxReading = maxReading
