package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

type predictionsShowCmd struct {
	apiFlag
	predictionFlags
}

func (c *predictionsShowCmd) Run(e *env) error {
	api, err := c.client(e)
	if err != nil {
		return err
	}
	defer api.Close()
	s, err := api.Get(e.ctx, c.Source, c.ID)
	if err != nil {
		return c.unknown(e, c.Source, err)
	}
	return e.print(s, func(out *printer) {
		out.printf("prediction %q of %s\nstatus     %q\n", s.ID, s.Source, s.Status)
		if s.Model != "" {
			out.printf("model      %q\n", s.Model)
		}
		for _, t := range []struct {
			what string
			at   time.Time
		}{{"first seen", s.FirstSeen}, {"expected", s.ExpectedBy}, {"created", s.CreatedAt}, {"completed", s.CompletedAt}, {"received", s.ReceivedAt}} {
			if !t.at.IsZero() {
				out.printf("%-10s %s\n", t.what, t.at.Format(time.RFC3339))
			}
		}
		if a := s.Announced; a != nil {
			out.printf("announced  %s\n", a.At.Format(time.RFC3339))
			for _, t := range []struct{ what, text string }{{"reference", a.Reference}, {"tenant", a.Tenant}} {
				if t.text != "" {
					out.printf("%-10s %q\n", t.what, t.text)
				}
			}
			for _, name := range slices.Sorted(maps.Keys(a.Metadata)) {
				out.printf("  %s=%q\n", name, a.Metadata[name])
			}
		}
		if s.Error != "" {
			out.printf("error      %q\n", s.Error)
		}
		if s.Lost != nil {
			out.printf("given up   %s: %q\n", s.Lost.Cause, s.Lost.Error)
		}
		if s.Conflict {
			out.printf("conflict   it ended a second time, in another way; the first one counts\n")
		}
		for i, o := range s.Outputs {
			out.printf("output %-3d %-8s %s\n", i, o.Custody, place(i, o))
		}
		for _, ref := range s.Events {
			out.printf("event %-4d %s  %s %q by %s\n", ref.Sequence, ref.StoredAt.Format(time.RFC3339), ref.Kind, ref.Status, ref.Origin)
		}
	})
}

// unknown is the error of a source that does not exist, otherwise err, that of a call for one of
// its predictions.
func (f *apiFlag) unknown(e *env, source string, err error) error {
	if known := f.known(e, naming{sources: []name{name(source)}}); known != nil {
		return known
	}
	return err
}

func place(n int, o bridge.OutputState) string {
	switch {
	case o.StoredURL != "":
		return o.StoredURL
	case o.URL != "":
		return o.URL
	}
	return fmt.Sprintf("output %d is no address: hookspan events show prints the event that has it", n)
}
