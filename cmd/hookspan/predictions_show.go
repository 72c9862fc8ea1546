package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

type predictionsShowCmd struct {
	apiFlag
	watchFlag
	predictionFlags
	Cursor string `placeholder:"TEXT" help:"Older events: what follows a timeline that was too long."`
}

func (c *predictionsShowCmd) Run(e *env) error {
	if err := c.which(e, &c.predictionFlags); err != nil {
		return err
	}
	var line adminapi.Timeline
	if err := c.get(e, apiRoute("predictions", c.Source, c.ID, "timeline"), map[string]string{"cursor": c.Cursor}, &line); err != nil {
		return c.unknown(e, c.Source, err)
	}
	s := &line.Prediction
	return e.print(line, func(out *printer) {
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
		for i := range line.Events {
			printEvent(out, &line.Events[i])
		}
		for _, d := range line.DeadLetters {
			out.printf("dead letter %d of %s, %s at %s: %q\n", d.Seq, d.Consumer, d.Cause, d.DiedAt.Format(time.RFC3339), d.Error)
		}
		if line.Next != "" {
			out.printf("and there are older events: go on with --cursor %s\n", line.Next)
		}
		if line.Behind {
			out.printf("the view is behind, so the newest may be missing: hookspan view status says how far it is\n")
		}
	})
}

// printEvent prints an event with a line for each consumer, and what to do.
func printEvent(out *printer, e *adminapi.TimelineEvent) {
	out.printf("event %-4d %s  %s %q by %s\n", e.Sequence, e.StoredAt.Format(time.RFC3339), e.Kind, e.Status, e.Origin)
	for i := range e.Lanes {
		l := &e.Lanes[i]
		out.printf("  %-12s ", l.Consumer)
		out.raw(out.tint(toneOf(l.State), printable.String(l.Words)))
		if l.Last != nil {
			out.printf(", attempt %d at %s took %v", l.Last.Number, l.Last.At.Format(time.RFC3339), time.Duration(l.Last.Took*float64(time.Second)).Round(time.Millisecond))
		}
		if l.DeadSeq != 0 {
			out.printf(", number %d, %s", l.DeadSeq, l.Cause)
		}
		if l.Reason != "" {
			out.printf(": %s", l.Reason)
		}
		out.printf("\n")
		if l.Remedy != "" && l.State != laneNotMeant { // most events are not meant for most consumers
			out.printf("  %-12s   %s\n", "", l.Remedy)
		}
	}
}

const laneNotMeant = "not_meant"

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
