// Package fakeget3w is a stand-in for the API of Get3W, and of WaveSpeedAI as far as the two
// are the same, for tests and for free trials: it accepts predictions, finishes them after a
// while, posts their webhooks, answers polls and serves outputs. Its rules reproduce faults of
// the real provider on purpose.
//
// It speaks the wire format of the public documentation of both
// (https://wavespeed.ai/docs/submit-task and its neighbours). It runs no model.
//
// A client can have it post to any address, so it belongs on a loopback address or in a network
// of its own.
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

// Defaults of [Config] and [Rule].
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
	// outputLife is the provider's documented retention of outputs.
	outputLife = 7 * 24 * time.Hour
)

// Config describes the provider. The zero value is one without faults, which accepts any key
// and signs with an empty secret.
type Config struct {
	// BaseURL is the address of [Provider.Handler] in the addresses of predictions and outputs,
	// such as http://127.0.0.1:8090. Empty is the host of the submission.
	BaseURL string
	// Key is required as "Authorization: Bearer <key>"; empty accepts any.
	Key []byte
	// Secret signs webhooks.
	Secret []byte
	// Speed is how much faster than the clock time passes for every duration of this package,
	// default 1: with 60 a minute takes a second. The timestamps of predictions are those of
	// the clock.
	Speed float64
	// Rules apply to predictions by model, the first match counts. A model without a match has
	// the zero [Rule].
	Rules []Rule
	// Tasks bounds the running predictions; further submissions are answered 429. Default 0: no
	// limit. Tiers of WaveSpeedAI are 2, 300, 3,000, 10,000.
	Tasks int
	// Credits is how many predictions the account can pay for; further submissions are answered
	// 403. Default 0: no limit.
	Credits int
	// OutputBytes is the size of an output, default [DefaultOutputBytes].
	OutputBytes int64
	// OutputLife is how long outputs are served after the end of their prediction, default the
	// provider's documented 7 days.
	OutputLife time.Duration
	// MaxPredictions bounds the kept predictions, default [DefaultMaxPredictions]. The one that
	// ended first, and has no webhook to send any more, makes room. If there is none, a
	// submission is answered 503.
	MaxPredictions int
	// Senders bounds the webhooks posted at once, default [DefaultSenders].
	Senders int
	// Seed determines ids and output bytes: the same seed and order of submissions give the
	// same.
	Seed uint64
}

// Rule is what happens to the predictions of some models. Each "Every" applies to every nth
// submission of the rule, 0 to none. Several can apply to one submission, so numbers without a
// common divisor mix best.
type Rule struct {
	// Model is a glob in which '*' matches any run of characters; empty matches every model.
	Model string
	// Duration is the time from a submission to its end, default [DefaultDuration].
	Duration time.Duration
	// Outputs are the file name extensions of a prediction's outputs, default one ".png", out
	// of [Extensions].
	Outputs []string
	// FailEvery: the prediction fails.
	FailEvery int
	// NeverEvery: the prediction stays in processing for ever.
	NeverEvery int
	// DropEvery: the webhook is never sent.
	DropEvery int
	// MissingEvery: polls are answered 404; the webhook is sent.
	MissingEvery int
	// CutEvery: the submission is accepted, and its connection closed without an answer.
	CutEvery int
	// ErrorEvery: the submission is answered 500, and not accepted.
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
	if !(c.Speed > 0 && c.Speed <= maxSpeed) { // NaN is refused too
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

// isHTTP reports whether u is an HTTP address without credentials.
func isHTTP(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}
