// Package fakeget3w is a stand-in for the API of Get3W, and of WaveSpeedAI as far
// as the two are the same, for tests and for trying things without paying: it takes
// predictions, finishes them after a while, posts their webhooks, can be polled and
// serves their outputs. What goes wrong at the real provider can be had on purpose.
//
// It speaks the wire format of the public documentation of both
// (https://wavespeed.ai/docs/submit-task and its neighbours). It runs no model.
//
// Whoever may submit has it post to any address, so it belongs on a loopback address
// or into a network of its own.
package fakeget3w

import (
	"cmp"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// What a field of [Config] or [Rule] is when it is zero.
const (
	DefaultDuration       = 2 * time.Second
	DefaultOutputBytes    = 64 << 10
	DefaultMaxPredictions = 100_000
	DefaultSenders        = 64
)

const (
	maxPredictions = 10_000_000
	maxSenders     = 10_000
	maxOutputs     = 16
	maxOutputBytes = 1 << 40
	maxSpeed       = 1_000_000
	maxDuration    = 365 * 24 * time.Hour
	// outputLife is how long the provider keeps outputs, as it documents.
	outputLife = 7 * 24 * time.Hour
)

// Config is what the provider is like. The zero value is one that is in order, asks
// for no particular key and signs with an empty secret.
type Config struct {
	// BaseURL is where others reach [Provider.Handler], such as
	// http://127.0.0.1:8090, for the addresses of predictions and outputs. Empty is
	// the host that a submission was sent to.
	BaseURL string
	// Key is what requests must have as "Authorization: Bearer <key>"; with none,
	// any will do.
	Key []byte
	// Secret signs webhooks.
	Secret []byte
	// Speed is how much faster than the clock time passes here: with 60 a minute
	// takes a second. It is for every duration of this package, and default 1. The
	// timestamps of predictions are those of the clock.
	Speed float64
	// Rules say what becomes of predictions: the first that fits the model counts.
	// A model that none fits has the zero [Rule].
	Rules []Rule
	// Tasks is how many predictions may run at once before a submission is answered
	// 429, default 0: any number. Tiers of WaveSpeedAI are 2, 300, 3,000, 10,000.
	Tasks int
	// Credits is how many predictions the account can pay for before a submission
	// is answered 403, default 0: any number.
	Credits int
	// OutputBytes is the size of an output, default [DefaultOutputBytes].
	OutputBytes int64
	// OutputLife is how long outputs are served after their prediction has ended,
	// default what the provider documents, 7 days.
	OutputLife time.Duration
	// MaxPredictions is how many are kept, default [DefaultMaxPredictions]. The
	// one that ended first, and has no webhook to send any more, makes room. Where
	// none has, a submission is answered 503.
	MaxPredictions int
	// Senders is how many webhooks are posted at once, default [DefaultSenders].
	Senders int
	// Seed makes the ids and the bytes of outputs: the same seed, and submissions in
	// the same order, give the same.
	Seed uint64
}

// Rule is what becomes of the predictions of some models. Every "Every" is for each
// nth submission that the rule fits, 0 is for none; one submission can be more than
// one of them, so numbers without a common divisor mix best.
type Rule struct {
	// Model is a glob in which '*' stands for any run of characters; empty is every
	// model.
	Model string
	// Duration is from a submission to its end, default [DefaultDuration].
	Duration time.Duration
	// Outputs are the file name extensions of what a prediction has, default one
	// ".png". Those of [Extensions] can be had.
	Outputs []string
	// FailEvery fail.
	FailEvery int
	// NeverEvery stay in processing for ever.
	NeverEvery int
	// DropEvery have their webhook lost: it is not even tried.
	DropEvery int
	// MissingEvery are answered 404 when they are polled. Their webhooks are sent.
	MissingEvery int
	// CutEvery are accepted, and the connection is closed instead of an answer.
	CutEvery int
	// ErrorEvery are answered 500, and not accepted.
	ErrorEvery int
}

func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	c.Speed = cmp.Or(c.Speed, 1)
	c.OutputBytes = cmp.Or(c.OutputBytes, DefaultOutputBytes)
	c.OutputLife = cmp.Or(c.OutputLife, outputLife)
	c.MaxPredictions = cmp.Or(c.MaxPredictions, DefaultMaxPredictions)
	c.Senders = cmp.Or(c.Senders, DefaultSenders)
	c.Rules = append(slices.Clone(c.Rules), Rule{})
	for i, r := range c.Rules {
		r.Duration = cmp.Or(r.Duration, DefaultDuration)
		if len(r.Outputs) == 0 {
			r.Outputs = []string{".png"}
		}
		c.Rules[i] = r
	}
	return c
}

func (c Config) validate() error {
	if u, err := url.Parse(c.BaseURL); c.BaseURL != "" && (err != nil || !isHTTP(u) || u.RawQuery != "" || u.Fragment != "") {
		return fmt.Errorf("base URL: write an address such as http://127.0.0.1:8090")
	}
	if !(c.Speed > 0 && c.Speed <= maxSpeed) { // not a number is refused too
		return fmt.Errorf("speed is %v: use more than 0 and at most %v", c.Speed, maxSpeed)
	}
	for _, n := range []struct {
		name                 string
		value, least, atMost int64
	}{
		{"tasks", int64(c.Tasks), 0, maxPredictions},
		{"credits", int64(c.Credits), 0, math.MaxInt32},
		{"output bytes", c.OutputBytes, 1, maxOutputBytes},
		{"max predictions", int64(c.MaxPredictions), 1, maxPredictions},
		{"senders", int64(c.Senders), 1, maxSenders},
	} {
		if n.value < n.least || n.value > n.atMost {
			return fmt.Errorf("%s is %d: use %d to %d", n.name, n.value, n.least, n.atMost)
		}
	}
	if c.OutputLife < 0 || c.OutputLife > maxDuration {
		return fmt.Errorf("output life is %v: use at most %v", c.OutputLife, maxDuration)
	}
	for i, r := range c.Rules {
		if err := r.validate(); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return nil
}

func (r Rule) validate() error {
	if err := (bridge.Filter{Model: r.Model}).Validate(); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	if r.Duration < 0 || r.Duration > maxDuration {
		return fmt.Errorf("duration is %v: use at most %v", r.Duration, maxDuration)
	}
	if len(r.Outputs) > maxOutputs {
		return fmt.Errorf("it has %d outputs: use at most %d", len(r.Outputs), maxOutputs)
	}
	for _, ext := range r.Outputs {
		if _, known := media[ext]; !known {
			return fmt.Errorf("output %q is not known: use one of %s", ext, strings.Join(Extensions(), ", "))
		}
	}
	if min(r.FailEvery, r.NeverEvery, r.DropEvery, r.MissingEvery, r.CutEvery, r.ErrorEvery) < 0 {
		return fmt.Errorf("a share is negative: use 0 for none, or n for every nth")
	}
	return nil
}

// isHTTP: an address that can be posted to, without credentials in it.
func isHTTP(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}
