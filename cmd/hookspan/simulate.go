package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/cmd/internal/simulate"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/fakesender"
)

type simulateCmd struct {
	apiFlag
	signFlags
	Source string  `default:"get3w" help:"The source that gets the webhooks."`
	Kind   string  `placeholder:"KIND" help:"The provider that is played, as kind of a source names it (default: that of the source)."`
	URL    string  `placeholder:"URL" help:"Where to post them (default: where the bridge that is asked takes those of the source). It is needed with --api, and for a source with a path token."`
	Speed  float64 `default:"1" help:"How much faster than the clock the provider's schedule passes: with 10 the waits of get3w of 10, 30 and 60 s take 1, 3 and 6 s. For an answer it waits as long as the provider, but 8 s at the least."`

	Count  int            `default:"100" help:"How many predictions end."`
	Rate   float64        `default:"20" help:"How many of them in a second."`
	Model  simulate.Mix   `default:"get3w/flux-dev=6,google/nano-banana-pro/text-to-image=3,black-forest-labs/flux-1.1-pro=1" help:"Models with their weights."`
	Status simulate.Mix   `placeholder:"MIX" help:"Statuses with their weights (default: completed=8,failed=1,created=1, and without created for a provider of whose webhooks only the end is kept)."`
	Size   simulate.Range `default:"1KiB-4KiB" help:"Size of a body, or two with a dash between."`
	Seed   uint64         `placeholder:"N" help:"Makes the mix the same at each run (default: another one at each)."`

	DuplicateEvery int `placeholder:"N" help:"The webhook of each Nth prediction comes twice, by turns at once and after its answer."`
	ForgeEvery     int `placeholder:"N" help:"Beside each Nth prediction a stranger sends something without the right signature."`
	BreakEvery     int `placeholder:"N" help:"The webhook of each Nth prediction is signed, and unreadable."`
	LateEvery      int `placeholder:"N" help:"Of each Nth prediction that has ended a webhook says afterwards that it is processing."`

	DropEvery int    `placeholder:"N" help:"The webhook of each Nth prediction that has ended is never sent, so that the bridge has to ask."`
	APIListen string `name:"api-listen" placeholder:"HOST:PORT" help:"Where to serve the provider's API. Predictions are announced to the bridge then, and api.base_url of the source must lead here."`

	Outputs      int             `default:"0" help:"How many outputs each completed prediction has. This command serves them, and the bridge must be allowed to fetch from this machine."`
	OutputBytes  config.ByteSize `default:"64KiB" help:"Size of an output."`
	Listen       string          `default:"127.0.0.1:0" help:"Host and port that serve outputs."`
	SlowEvery    int             `placeholder:"N" help:"Each Nth output comes slowly."`
	CutEvery     int             `placeholder:"N" help:"Each Nth output breaks off in the middle, the first time."`
	MissingEvery int             `placeholder:"N" help:"Each Nth output is gone."`

	Wait time.Duration `default:"1m" help:"How long the consumers may take after the last webhook."`
}

// defaultKind is the kind of a source that names none.
const defaultKind = "get3w"

// Run sends the webhooks, and prints what became of them. It fails when something is lost.
func (c *simulateCmd) Run(e *env) error {
	cfg := simulate.Config{
		Source: c.Source, Speed: c.Speed, Count: c.Count, Rate: c.Rate, Models: c.Model, Bytes: c.Size,
		Seed:           cmp.Or(c.Seed, rand.Uint64N(1<<53)), // the largest integers that every JSON reader takes
		DuplicateEvery: c.DuplicateEvery, ForgeEvery: c.ForgeEvery, BreakEvery: c.BreakEvery, LateEvery: c.LateEvery, DropEvery: c.DropEvery, APIListen: c.APIListen,
		Outputs: simulate.Outputs{
			Count: c.Outputs, Bytes: int64(c.OutputBytes), Listen: c.Listen,
			SlowEvery: c.SlowEvery, CutEvery: c.CutEvery, MissingEvery: c.MissingEvery,
		},
		Wait: c.Wait,
	}
	err := c.play(&cfg, cmp.Or(c.Kind, defaultKind)) // wrong use is told without a bridge
	if err != nil {
		return err
	}
	if cfg.TLS, err = c.certificates(); err != nil {
		return err
	}
	if cfg.API, err = c.client(e, nil); err != nil {
		return err
	}
	defer cfg.API.Close()
	if cfg.URL, err = c.target(); err != nil {
		return err
	}
	if err := c.known(e, naming{sources: []name{name(c.Source)}}); err != nil {
		return err
	}
	if c.Kind == "" {
		kind, err := c.kindOfSource(e)
		if err == nil {
			err = c.play(&cfg, kind)
		}
		if err != nil {
			return err
		}
	}
	if cfg.Secret, err = c.secret(e, cfg.Sender); err != nil {
		return err
	}
	bar := newProgressBar(e.stderr)
	if !e.json && isTerminal(e.stderr) {
		cfg.Progress = func(share float64, words string) {
			_ = bar.draw(share, words) // a lost progress bar is no error
		}
	}
	report, err := simulate.Run(e.ctx, cfg)
	bar.clear() // the report begins in its line
	if err != nil {
		return err
	}
	if err := e.print(report, func(out *printer) { printSimulation(out, report) }); err != nil {
		return err
	}
	if !report.Right() {
		return errSilent
	}
	return nil
}

// play makes the run one of the provider of a kind.
func (c *simulateCmd) play(cfg *simulate.Config, kind string) (err error) {
	if cfg.Sender, err = fakesender.Of(kind); err != nil {
		return &usageError{fmt.Errorf("--kind: %w", err)}
	}
	if cfg.Statuses = c.Status; len(c.Status) == 0 {
		cfg.Statuses = simulate.Mix{{Name: bridge.StatusCompleted, Weight: 8}, {Name: bridge.StatusFailed, Weight: 1}}
		if !cfg.Sender.TellsEndsOnly() {
			cfg.Statuses = append(cfg.Statuses, simulate.Share{Name: bridge.StatusCreated, Weight: 1})
		}
	}
	if err = cfg.Check(); err != nil {
		return &usageError{err}
	}
	return nil
}

// kindOfSource asks the bridge. A process without the role ingress does not know.
func (c *simulateCmd) kindOfSource(e *env) (string, error) {
	var list adminapi.SourceList
	if err := c.get(e, "/sources", nil, &list); err != nil {
		return "", err
	}
	for _, s := range list.Sources {
		if s.Name == c.Source {
			return s.Kind, nil
		}
	}
	return "", &usageError{fmt.Errorf("the bridge does not say of what kind source %s is: say it with --kind", c.Source)}
}

// target returns the address to post to, once the bridge is looked up.
func (c *simulateCmd) target() (string, error) {
	switch {
	case c.URL != "":
		return c.URL, nil
	case c.webhooks == "":
		return "", &usageError{errors.New("say with --url where the bridge takes webhooks: a bridge that is named with --api, or has not the role ingress, does not tell")}
	}
	return c.webhooks + "/webhooks/" + c.Source, nil
}

func printSimulation(out *printer, r *simulate.Report) {
	out.printf("run %s of source %s, seed %d, %v\n\n", r.Run, r.Source, r.Seed, time.Duration(r.Seconds*float64(time.Second)).Round(time.Second/10))
	t := newTable("WEBHOOKS", "", "")
	count := func(what string, n int, words string) {
		if n > 0 || words != "" {
			t.row(what, humanize.Comma(int64(n)), words)
		}
	}
	count("sent", r.Sent, fmt.Sprintf("in %s attempts", humanize.Comma(int64(r.Attempts))))
	count("acknowledged", r.Acknowledged, "answered 200")
	if r.Dropped > 0 {
		count("dropped", r.Dropped, "never sent")
	}
	count("abandoned", r.Abandoned, "given up by the sender")
	count("interrupted", r.Interrupted, "")
	count("stored", r.Stored, "compared with what was sent, to the byte")
	count("stored, and the answer was lost", r.Unacknowledged, "")
	if r.Polled > 0 {
		count("found by asking", r.Polled, "compared with the provider's answers")
	}
	count("quarantined", r.Quarantined, "signed, and unreadable")
	count("waiting", r.Waiting, "")
	if r.Unknown > 0 {
		count("unknown", r.Unknown, "acknowledged, and the bridge did not say")
	}
	count("lost", r.Lost, "acknowledged, and not there")
	count("corrupt", r.Corrupt, "not what was sent, or answered wrongly")
	count("duplicates", r.Duplicates, "copies that were recognised")
	if r.Forged > 0 {
		count("forgeries", r.Forged, fmt.Sprintf("of which %s were refused", humanize.Comma(int64(r.Refused))))
	}
	if o := r.Outputs; o.Served > 0 {
		count("outputs", o.Served, fmt.Sprintf("%d archived, %d given up, %d waiting", o.Archived, o.GivenUp, o.Waiting))
	}
	t.print(out)
	out.raw("\n")
	t = newTable("ANSWER", "ATTEMPTS")
	for _, answer := range slices.Sorted(maps.Keys(r.Answers)) {
		t.row(answer, humanize.Comma(int64(r.Answers[answer])))
	}
	t.print(out)
	out.raw("\n")
	printConsumers(out, r.Consumers)
	for _, note := range r.Notes {
		out.raw("\n" + inLines(note) + "\n")
	}
	if r.Right() {
		out.raw("\n" + out.tint(good, "nothing is lost") + "\n")
		return
	}
	out.raw("\n")
	for _, wrong := range r.Wrong {
		out.raw(out.tint(bad, "WRONG") + ": ")
		out.printf("%s\n", wrong)
	}
}

func printConsumers(out *printer, all []simulate.ConsumerReport) {
	t := newTable("CONSUMER", "HANDLED", "DEAD", "WAITING", "NOT MEANT")
	for _, c := range all {
		t.row(c.Name, c.Handled, c.Dead, c.Waiting, c.NotMeant)
	}
	t.print(out)
	for _, c := range all {
		for _, w := range c.Why {
			out.printf("%s, such as %s, %s: %s. %s\n", c.Name, w.Prediction, w.Words, orDash(w.Reason), w.Remedy)
		}
	}
}
