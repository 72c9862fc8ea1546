package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

type consumersCmd struct {
	List   consumersListCmd   `cmd:"" help:"Show where each of them stands."`
	Add    consumersAddCmd    `cmd:"" help:"Make one for a program of your own. What is to stay belongs into the configuration, as kind pull."`
	Pause  consumersPauseCmd  `cmd:"" help:"Stop giving events to one of them; they are kept for it."`
	Resume consumersResumeCmd `cmd:"" help:"Go on giving events to one that was paused."`
	Seek   consumersSeekCmd   `cmd:"" help:"Set one of them back, to be given events again, or forward, to leave some out. It asks before it leaves some out."`
	Remove consumersRemoveCmd `cmd:"" help:"Remove one of them, with what it remembers. Its dead letters stay. It asks before."`
}

type consumersListCmd struct {
	apiFlag
	watchFlag
}

func (c *consumersListCmd) Run(e *env) error {
	var list adminapi.ConsumerList
	if err := c.get(e, apiRoute("consumers"), nil, &list); err != nil {
		return err
	}
	return e.print(list, func(out *printer) {
		t := newTable("NAME", "KIND", "PENDING", "UNSETTLED", "LATER", "DEAD", "STATE")
		for _, s := range list.Consumers {
			t.row(s.Name, orDash(s.Kind), s.Pending, s.Unsettled, s.Later, s.Dead, toned{toneOf(string(s.State)), standing(s)})
		}
		t.print(out)
		if len(list.Consumers) == 0 {
			out.printf("there is none\n")
		}
		for _, left := range list.LeftBehind {
			out.printf("left behind: %s\n", left.Text)
		}
	})
}

func standing(s adminapi.ConsumerState) string {
	words := s.State.Words()
	switch {
	case s.State == consumerstate.Paused && time.Until(s.PausedUntil) > 10*365*24*time.Hour:
		words += " until it is resumed"
	case s.State == consumerstate.Paused:
		words += " until " + s.PausedUntil.Format(time.RFC3339)
	case !s.Since.IsZero():
		words += " since " + s.Since.Format(time.RFC3339)
	}
	if s.Failures > 0 {
		words += fmt.Sprintf(", %d in a row", s.Failures)
	}
	if s.Reason != "" {
		words += ": " + s.Reason
	}
	if s.Exhausted > 0 {
		words += ", some events are delivered no more"
	}
	return words
}

type consumersAddCmd struct {
	apiFlag
	Name          string        `arg:"" help:"Its name, which is that of the durable."`
	Event         name          `placeholder:"KIND" help:"Events of this kind: prediction, which is the default, or outputs.archived."`
	Source        nameList      `placeholder:"NAME" help:"Only of these sources."`
	Status        nameList      `placeholder:"WORD" help:"Only of these statuses; completed and failed otherwise, and * is every one."`
	Model         name          `placeholder:"GLOB" help:"Only of these models: whole parts, and one * at the end, such as google/*."`
	Start         startPoint    `default:"new" placeholder:"WHERE" help:"Where it begins: new, all, a time, or so long ago, such as 72h."`
	Lease         time.Duration `default:"30s" help:"How long an event that was delivered may stay without an answer, in whole seconds."`
	MaxDeliveries int           `default:"20" placeholder:"N" help:"How often an event is delivered before it becomes a dead letter."`
}

func (c *consumersAddCmd) Run(e *env) error {
	var state adminapi.ConsumerState
	call := adminapi.AddCall{
		Name: c.Name, Start: string(c.Start),
		FilterCall:   adminapi.FilterCall{Event: string(c.Event), Sources: texts(c.Source), Statuses: texts(c.Status), Model: string(c.Model)},
		LeaseSeconds: int(c.Lease / time.Second), MaxDeliveries: c.MaxDeliveries,
	}
	// Events of a source that does not exist never come.
	if err := c.known(e, naming{sources: c.Source, statuses: c.Status}); err != nil {
		return err
	}
	if err := c.call(e, http.MethodPost, apiRoute("consumers"), call, &state); err != nil {
		return err
	}
	return e.print(state, func(out *printer) {
		out.printf("%s: added, %d events pending; with the embedded NATS, hookspan nats-env prints the user who may read it\n", state.Name, state.Pending)
	})
}

type consumersPauseCmd struct {
	apiFlag
	Name string        `arg:"" help:"The consumer."`
	For  time.Duration `placeholder:"DURATION" help:"How long, such as 2h; until it is resumed otherwise."`
}

func (c *consumersPauseCmd) Run(e *env) error {
	var call adminapi.PauseCall
	if c.For != 0 {
		call.Until = time.Now().Add(c.For)
	}
	return c.change(e, c.Name, "pause", call)
}

type consumersResumeCmd struct {
	apiFlag
	Name string `arg:"" help:"The consumer."`
}

func (c *consumersResumeCmd) Run(e *env) error { return c.change(e, c.Name, "resume", struct{}{}) }

func (f *apiFlag) change(e *env, name, verb string, call any) error {
	var state adminapi.ConsumerState
	if err := f.call(e, http.MethodPost, apiRoute("consumers", name, verb), call, &state); err != nil {
		return err
	}
	return e.print(state, func(out *printer) {
		out.printf("%s: %s, %d events pending\n", state.Name, standing(state), state.Pending)
	})
}

type consumersSeekCmd struct {
	apiFlag
	yesFlag
	Name   string `arg:"" help:"The consumer."`
	First  bool   `help:"To the oldest event that is stored."`
	New    bool   `help:"To the next event that comes."`
	Since  moment `placeholder:"TIME" help:"To the first event that was stored then: a time such as 2026-01-31T15:04:05Z, or so long ago, such as 2h."`
	Seq    uint64 `placeholder:"N" help:"To the event with this number."`
	DryRun bool   `help:"Change nothing, say what would happen."`
}

func (c consumersSeekCmd) Validate() error {
	given := 0
	for _, is := range []bool{c.First, c.New, !c.Since.IsZero(), c.Seq > 0} {
		if is {
			given++
		}
	}
	if given != 1 {
		return errors.New("say where to: one of --first, --new, --since and --seq")
	}
	return nil
}

// Run asks first when the consumer would skip events.
func (c *consumersSeekCmd) Run(e *env) error {
	sought, err := c.seek(e, true)
	if err == nil && !c.DryRun {
		if skips := sought.To > sought.From || sought.Left > 0; skips {
			err = c.confirm(e, func() (string, error) { return c.prompt(sought), nil })
		}
		if err == nil {
			sought, err = c.seek(e, false)
		}
	}
	if err != nil {
		return err
	}
	return e.print(sought, func(out *printer) {
		would := ""
		if c.DryRun {
			would = "would go, and does not: "
		}
		switch {
		case sought.To < sought.From:
			out.printf("%s: %sback from event %d to %d; it is given those in between again\n", c.Name, would, sought.From, sought.To)
		case sought.To > sought.From:
			out.printf("%s: %sforward from event %d to %d; it is not given those in between\n", c.Name, would, sought.From, sought.To)
		default:
			out.printf("%s: %sstays at event %d\n", c.Name, would, sought.To)
		}
		if sought.Left > 0 {
			out.printf("up to %d events before that were with a worker or waited for another attempt, and do not come again: hookspan events replay gives them again\n", sought.Left)
		}
	})
}

func (c *consumersSeekCmd) seek(e *env, dryRun bool) (sought adminapi.ConsumerSeek, err error) {
	call := adminapi.SeekCall{
		ConsumerPosition: adminapi.ConsumerPosition{First: c.First, New: c.New, Since: c.Since.Time, Sequence: c.Seq}, DryRun: dryRun,
	}
	err = c.call(e, http.MethodPost, apiRoute("consumers", c.Name, "seek"), call, &sought)
	return sought, err
}

// prompt says how many events would be skipped. Which events these are is not known: the
// consumer may not read some of them.
func (c *consumersSeekCmd) prompt(sought adminapi.ConsumerSeek) string {
	var lost []string
	if sought.To > sought.From {
		lost = append(lost, fmt.Sprintf("the events from %d to %d, up to %d", sought.From, sought.To-1, sought.To-sought.From))
	}
	if sought.Left > 0 {
		lost = append(lost, fmt.Sprintf("up to %d events that are with a worker or wait for another attempt", sought.Left))
	}
	return fmt.Sprintf("Never give %s to consumer %s?", strings.Join(lost, ", and "), c.Name)
}

type consumersRemoveCmd struct {
	apiFlag
	yesFlag
	Name   string `arg:"" help:"The consumer."`
	DryRun bool   `help:"Change nothing, say what would happen."`
}

func (c *consumersRemoveCmd) Run(e *env) error {
	if !c.DryRun {
		err := c.confirm(e, func() (string, error) {
			would, err := c.remove(e, true)
			return fmt.Sprintf("Remove consumer %s for good, with %d events that it has not handled, and %d that it remembers?", c.Name, would.Unsettled, would.Remembered), err
		})
		if err != nil {
			return err
		}
	}
	removed, err := c.remove(e, c.DryRun)
	if err != nil {
		return err
	}
	return e.print(removed, func(out *printer) {
		is := "removed"
		if c.DryRun {
			is = "would be removed"
		}
		out.printf("%s: %s, with %d events that it has not handled, %d of those that wait for another attempt, and %d that it remembers; %d dead letters stay\n",
			c.Name, is, removed.Unsettled, removed.Later, removed.Remembered, removed.Dead)
	})
}

func (c *consumersRemoveCmd) remove(e *env, dryRun bool) (removed adminapi.RemovedConsumer, err error) {
	err = c.call(e, http.MethodPost, apiRoute("consumers", c.Name, "remove"), adminapi.RemoveCall{DryRun: dryRun}, &removed)
	return removed, err
}
