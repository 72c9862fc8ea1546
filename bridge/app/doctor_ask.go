package app

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/doctor"
	"github.com/hookspan/hookspan/consumers/archive"
	"github.com/hookspan/hookspan/consumers/forward"
)

// consumersOf returns the names of the consumers of a type that this process runs, in order.
func consumersOf[T config.Consumer](cfg *config.Config) (names []string, of map[string]T) {
	of = map[string]T{}
	for name, c := range cfg.Consumers {
		if one, is := c.(T); is && cfg.Runs(name) {
			of[name] = one
		}
	}
	return slices.Sorted(maps.Keys(of)), of
}

func (e *examination) targets() (questions []question) {
	names, of := consumersOf[*config.Forward](e.cfg)
	for _, name := range names {
		c := of[name]
		questions = append(questions, question{doctor.CheckTarget, name, func(ctx context.Context, r *doctor.Report) {
			networks, err := c.Networks()
			if err == nil {
				err = forward.Reach(ctx, forward.Config{
					Name: name, URL: c.URL, AllowPrivate: c.AllowPrivate, AllowNetworks: networks,
					ConnectTimeout: time.Duration(c.ConnectTimeout), HeaderTimeout: time.Duration(c.HeaderTimeout), UserAgent: cmp.Or(e.userAgent, "Hookspan"),
				})
			}
			r.Tried(doctor.CheckTarget, name, err)
		}})
	}
	return questions
}

func (e *examination) archives() (questions []question) {
	names, of := consumersOf[*config.Archive](e.cfg)
	for _, name := range names {
		c := of[name]
		questions = append(questions, question{doctor.CheckArchive, name, func(ctx context.Context, r *doctor.Report) {
			at, err := e.cfg.ArchiveLocation(c)
			if err == nil {
				err = at.Check(ctx, c.AllowPrivate)
			}
			if err == nil && at.Dir != "" && !exists(at.Dir) {
				r.Unknown(doctor.CheckArchive, at.Dir+" is made by the first start; this user may write there")
				return
			}
			if err == nil {
				err = archive.Try(ctx, archive.Config{Name: name, Location: at, AllowPrivate: c.AllowPrivate})
			}
			r.Tried(doctor.CheckArchive, name, err)
		}})
	}
	return questions
}

// apis asks each provider's API for nothing, without the key, and compares the clocks.
func (e *examination) apis() (questions []question) {
	if !e.cfg.AsksProviders() {
		return nil
	}
	age := e.smallestAge()
	for _, name := range slices.Sorted(maps.Keys(e.cfg.Sources)) {
		api := e.cfg.Sources[name].API
		if api.Key == "" {
			continue
		}
		questions = append(questions, question{doctor.CheckAPI, name, func(ctx context.Context, r *doctor.Report) {
			date, took, err := headDate(ctx, api.BaseURL)
			r.Tried(doctor.CheckAPI, name, err)
			if !date.IsZero() {
				// A Date is in whole seconds, and was written while the answer travelled.
				r.Clock(doctor.Clock{Of: "provider of " + name, Ahead: time.Until(date), Error: took + time.Second, MaxAge: age})
			}
		}})
	}
	return questions
}

// smallestAge is the smallest max_age of a source.
func (e *examination) smallestAge() time.Duration {
	least := time.Duration(0)
	for _, s := range e.cfg.Sources {
		if age := time.Duration(s.MaxAge); least == 0 || age < least {
			least = age
		}
	}
	return least
}

// headDate returns the Date of the answer to a HEAD request, zero when it has none, and how long
// the answer took.
func headDate(ctx context.Context, address string) (date time.Time, took time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, http.NoBody)
	if err != nil {
		return date, 0, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	asked := time.Now()
	res, err := transport.RoundTrip(req)
	if u, is := errors.AsType[*url.Error](err); is {
		err = u.Err
	}
	if err != nil {
		return date, 0, err
	}
	took = time.Since(asked)
	date, _ = http.ParseTime(res.Header.Get("Date")) // zero when it cannot be read
	return date, took, res.Body.Close()
}
