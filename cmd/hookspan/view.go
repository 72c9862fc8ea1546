package main

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

type viewCmd struct {
	Status  viewStatusCmd  `cmd:"" help:"Show how far the view is, who polls, and what is overdue."`
	Rebuild viewRebuildCmd `cmd:"" help:"Make the view anew from what is stored."`
}

type viewStatusCmd struct {
	apiFlag
	watchFlag
}

func (c *viewStatusCmd) Run(e *env) error {
	var s adminapi.ViewStatus
	if err := c.get(e, apiRoute("view"), nil, &s); err != nil {
		return err
	}
	return e.print(s, func(out *printer) {
		for _, name := range slices.Sorted(maps.Keys(s.Sources)) {
			out.printf("%s: %s\n", name, sourceStanding(s.Sources[name], time.Now()))
		}
		for _, name := range slices.Sorted(maps.Keys(s.Streams)) {
			at := s.Streams[name]
			out.printf("%s: folded to %d, %d behind\n", name, at.Folded, at.Behind)
			if at.Error != "" {
				out.printf("  it cannot be read: %s\n", at.Error)
			}
		}
		switch {
		case s.Error != "":
			out.printf("the view stands still since %s: %s\n", s.Since.Format(time.RFC3339), s.Error)
		case s.Rebuilding:
			out.printf("the view is being made anew\n")
		case s.UpToDate:
			out.printf("the view is up to date\n")
		default:
			out.printf("the view is behind\n")
		}
		if s.Leader == "" {
			out.printf("nobody leads the polling: run a process with the role reconciler\n")
		} else {
			out.printf("%s leads the polling, as it said at %s\n", s.Leader, s.LedAt.Format(time.RFC3339))
		}
	})
}

func sourceStanding(s adminapi.SourceStatus, now time.Time) string {
	words := []string{strconv.Itoa(s.Open) + " open"}
	if s.Overdue > 0 {
		words = append(words, strconv.Itoa(s.Overdue)+" overdue", "the oldest seen "+s.Oldest.Format(time.RFC3339))
	}
	text := strings.Join(words, ", ")
	if !s.LastWebhook.IsZero() {
		text += "; last webhook " + s.LastWebhook.Format(time.RFC3339)
	}
	if s.PolledSince > 0 {
		text += ", " + strconv.Itoa(s.PolledSince) + " ended by polling since"
	}
	switch {
	case !s.Polled:
		text += "; not polled: sources.<name>.api has no key"
	case s.PausedUntil.After(now):
		text += "; not polled until " + s.PausedUntil.Format(time.RFC3339) + ": the provider wants it so, or does not answer as it should"
	}
	return text
}

type viewRebuildCmd struct {
	apiFlag
}

func (c *viewRebuildCmd) Run(e *env) error {
	var answer adminapi.Rebuilding
	if err := c.call(e, http.MethodPost, apiRoute("view", "rebuild"), struct{}{}, &answer); err != nil {
		return err
	}
	return e.print(answer, func(out *printer) {
		out.printf("the view is made anew from the first stored event; hookspan view status says how far that is\n")
	})
}
