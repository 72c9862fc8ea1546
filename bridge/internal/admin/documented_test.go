package admin_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	validation "github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/paths"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge/internal/admin"
)

// documented is the transport of every test: it holds each answer against the document, and
// each request that is answered with a 2xx. What is not as documented is an error of the
// request, and fails the whole package, so that no test can overlook it.
type documented struct {
	*http.Transport

	valid   validator.Validator
	schemas schema_validation.SchemaValidator
	model   *v3.Document
	opts    *config.ValidationOptions

	mu        sync.Mutex
	faults    []string
	exercised map[string]bool // by operation, status and media type
}

func newDocumented() (*documented, error) {
	doc, err := libopenapi.NewDocument(admin.OpenAPI())
	if err != nil {
		return nil, err
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		return nil, err
	}
	// The strict mode refuses undocumented parameters and headers; of bodies it would refuse
	// maps, and their schemas are strict themselves. Names of metadata are anybody's. Tests authenticate, or not, for reasons of
	// their own.
	opts := config.NewValidationOptions(config.WithFormatAssertions(), config.WithoutSecurityValidation(), config.WithStrictMode(),
		config.WithStrictIgnorePaths("$.body", "$.body.**", "$.query['meta.*']"), config.WithStrictIgnoredHeadersExtra("sec-fetch-site"))
	valid, errs := validator.NewValidator(doc, config.WithExistingOpts(opts))
	return &documented{
		Transport: http.DefaultTransport.(*http.Transport).Clone(), valid: valid, schemas: schema_validation.NewSchemaValidator(config.WithExistingOpts(opts)),
		model: &model.Model, opts: opts, exercised: map[string]bool{},
	}, errors.Join(errs...)
}

// within runs tests with the transport.
type within struct{ tests goleak.TestingM }

func (w within) Run() int {
	d, err := newDocumented()
	if err != nil {
		fmt.Fprintln(os.Stderr, "reading the OpenAPI document:", err)
		return 1
	}
	http.DefaultClient.Transport = d
	code := w.tests.Run()
	faults := d.faults
	if code == 0 && everyTestRan() {
		faults = append(faults, d.neverExercised()...)
	}
	for _, fault := range faults {
		fmt.Fprintln(os.Stderr, "OpenAPI:", fault)
		code = 1
	}
	return code
}

// everyTestRan reports whether the command line selects all tests.
func everyTestRan() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

// neverExercised lists the answers of the document that no test has received.
func (d *documented) neverExercised() (missing []string) {
	for path, item := range d.model.Paths.PathItems.FromOldest() {
		for method, op := range item.GetOperations().FromOldest() {
			for status, res := range op.Responses.Codes.FromOldest() {
				for media := range res.Content.KeysFromOldest() {
					if !d.exercised[exercise(op, status, media)] {
						missing = append(missing, fmt.Sprintf("no test receives %s as %s from %s %s", status, media, strings.ToUpper(method), path))
					}
				}
			}
		}
	}
	return missing
}

func exercise(op *v3.Operation, status, media string) string {
	return op.OperationId + " " + status + " " + media
}

// RoundTrip sends a request. Requests of undocumented paths and methods pass: tests have
// routes of their own, and the routes of the bridge are compared with the document elsewhere.
func (d *documented) RoundTrip(req *http.Request) (*http.Response, error) {
	sent, err := asDocumented(req)
	if err != nil {
		return nil, err
	}
	res, err := d.Transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	item, _, _ := paths.FindPath(sent, d.model, d.opts)
	if item == nil {
		return res, nil
	}
	op, ok := item.GetOperations().Get(strings.ToLower(req.Method))
	if !ok {
		return res, nil
	}
	if err := d.check(op, sent, res); err != nil {
		_ = res.Body.Close()
		err = fmt.Errorf("%s %s is answered %s, not as documented: %w", req.Method, req.URL, res.Status, err)
		d.fault(err)
		return nil, err
	}
	return res, nil
}

func (d *documented) fault(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, err.Error())
}

// asDocumented returns a copy of the request with a body of its own. An encoded id and a model
// of several segments are one plain segment in the copy: the validator refuses a path that
// would be another one when it is decoded.
func asDocumented(req *http.Request) (*http.Request, error) {
	sent := req.Clone(req.Context())
	if sent.GetBody != nil {
		body, err := sent.GetBody()
		if err != nil {
			return nil, err
		}
		sent.Body = body
	}
	rest, ok := strings.CutPrefix(req.URL.EscapedPath(), admin.APIPrefix+"/predictions/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) < 2 {
		return sent, nil
	}
	if req.Method == http.MethodPost {
		parts = append(parts[:1], "model")
	} else if strings.ContainsAny(parts[1], "%.:*") {
		parts[1] = "id"
	}
	sent.URL.Path, sent.URL.RawPath = admin.APIPrefix+"/predictions/"+strings.Join(parts, "/"), ""
	return sent, nil
}

func (d *documented) check(op *v3.Operation, sent *http.Request, res *http.Response) error {
	media, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	if media == "text/event-stream" {
		documents, ok := op.Responses.Codes.GetOrZero("200").Content.Get(media)
		if !ok || res.StatusCode != http.StatusOK {
			return errors.New("a stream of events is not documented")
		}
		if res.Body, ok = d.stream(documents, res.Body); !ok {
			return errors.New("an event of x-events has no schema")
		}
	} else {
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		res.Body = io.NopCloser(bytes.NewReader(body))
		received := *res
		received.Body = io.NopCloser(bytes.NewReader(body))
		if _, errs := d.valid.ValidateHttpResponse(sent, &received); len(errs) > 0 {
			return fmt.Errorf("%w in %.2000s", joined(errs), body)
		}
	}
	status := strconv.Itoa(res.StatusCode)
	if _, own := op.Responses.Codes.Get(status); !own {
		status = status[:1] + "XX"
	}
	d.mu.Lock()
	d.exercised[exercise(op, status, media)] = true
	d.mu.Unlock()
	if res.StatusCode/100 != 2 {
		return nil
	}
	if _, errs := d.valid.ValidateHttpRequestSync(sent); len(errs) > 0 {
		return fmt.Errorf("its request is not documented: %w", joined(errs))
	}
	return nil
}

func joined(errs []*validation.ValidationError) error {
	texts := map[string]bool{}
	for _, err := range errs {
		texts[err.Message+": "+err.Reason] = true
		for _, s := range err.SchemaValidationErrors {
			texts[s.KeywordLocation+": "+s.Reason] = true
		}
	}
	return errors.New(strings.Join(slices.Sorted(maps.Keys(texts)), "; "))
}
