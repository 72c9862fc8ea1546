package config

import (
	"maps"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

// Consumer is one consumer of the file: an [*Archive], [*Exec], [*Forward] or [*Pull].
type Consumer interface {
	// Base returns the keys of every kind, which the caller may change.
	Base() *Common
	// Does says in a few words, without secrets, what the consumer does with its events.
	Does(c *Config) string

	// fill adds the defaults.
	fill(c *Config)
	// check adds the problems of the keys that not every kind has.
	check(c *Config, name string, found *Checker)
}

// Worker is a [Consumer] whose handler runs in the bridge: every kind but pull.
type Worker interface {
	Consumer
	// Attempting returns the keys about attempts, which the caller may change.
	Attempting() *Attempts
}

var kinds = map[string]func() Consumer{
	KindArchive: func() Consumer { return &Archive{} },
	KindExec:    func() Consumer { return &Exec{} },
	KindForward: func() Consumer { return &Forward{} },
	KindPull:    func() Consumer { return &Pull{} },
}

// Common is the keys that consumers of every kind have.
type Common struct {
	// Kind is what the consumer does: archive, exec, forward or pull. Default archive for
	// the consumer archive, required of others.
	Kind string `yaml:"kind"`
	// Enabled false has the bridge run as if the file did not name the consumer. Default true.
	Enabled *bool `yaml:"enabled"`
	// Filter picks the events. Default every source, and the statuses completed and failed;
	// for an archive completed alone.
	Filter Filter `yaml:"filter"`
	// Start is where a durable begins that does not exist yet: all, new, or a time such as
	// 2026-01-31T15:04:05Z. new is whatever was accepted since the consumer was first
	// served. Default all for an archive, new for others.
	Start string `yaml:"start"`

	// Implied is true of the consumer archive when the file does not name it.
	Implied bool `yaml:"-"`
}

// Base implements [Consumer].
func (c *Common) Base() *Common { return c }

// Filter picks events.
type Filter struct {
	// Event is the kind of the events: prediction, outputs.archived, watch.set, watch.lost
	// or prediction.erased. Default prediction.
	Event string `yaml:"event"`
	// Source is the name of a source, or a list of them. Default every source.
	Source Strings `yaml:"source"`
	// Status is a status, or a list of them; "*" is every one. It is for events of predictions.
	Status Strings `yaml:"status"`
	// Model is a glob in which * is any run of characters, / too, such as google/*. For
	// pull it may have whole parts and one * at the end. Default every model.
	Model string `yaml:"model"`
}

var eventKinds = []string{bridge.KindPrediction, bridge.KindArchived, bridge.KindWatch, bridge.KindLost, bridge.KindErased}

// Filter returns the filter in the form that matches events.
func (f Filter) Filter() bridge.Filter {
	return bridge.Filter{Event: f.Event, Sources: f.Source, Statuses: f.Status, Model: f.Model}
}

// Attempts is the keys of consumers whose handler runs in the bridge: every kind but pull.
type Attempts struct {
	// Concurrency is how many events are handled at once, at most 4096, and 256 for exec.
	// Default 4 for archive, 2 for exec, 8 for forward.
	Concurrency int `yaml:"concurrency"`
	// Rate is how many events this process begins at most, such as 50/s. Default 0: no limit.
	Rate Rate `yaml:"rate"`
	// Once has the consumer act once on each status of a prediction: what is done is
	// remembered for retry.give_up_after and a day. It costs two synced writes for each
	// event. Default false.
	Once bool `yaml:"once"`
	// Timeout bounds one attempt; 0s is none. Default none for archive, 2m for exec, 30s
	// for forward.
	Timeout Duration `yaml:"timeout"`
	// Retry says when a failed event comes again.
	Retry Retry `yaml:"retry"`
}

// Attempting implements [Worker].
func (a *Attempts) Attempting() *Attempts { return a }

// Retry says when a failed event comes again.
type Retry struct {
	// First is the wait after the first failed attempt. It doubles with every further one.
	// Default 1s.
	First Duration `yaml:"first"`
	// Max is the longest wait. Default 6h, at most 168h.
	Max Duration `yaml:"max"`
	// GiveUpAfter is how long after the first failed attempt an event that still fails
	// becomes a dead letter. Default 72h; for archive as long as the providers keep outputs.
	GiveUpAfter Duration `yaml:"give_up_after"`
}

// Retry is the retry policy as a consumer takes it; a zero value is its default.
func (r Retry) Retry() consumers.Retry {
	return consumers.Retry{First: time.Duration(r.First), Max: time.Duration(r.Max), GiveUpAfter: time.Duration(r.GiveUpAfter)}
}

func (c *Common) checkCommon(name string, found *Checker) {
	key := "consumers." + name
	found.Check(key, bridge.CheckName("consumer", name))
	if name == bridge.PredictionsConsumer {
		found.Fail(key, "the dead letters of predictions that were given up have that name: choose another one")
	}
	found.Check(key+".filter", c.Filter.Filter().Validate())
	if f := c.Filter; f.Event != "" && f.Event != bridge.KindPrediction && len(f.Status) > 0 {
		found.Fail(key+".filter.status", "it is for events of predictions: remove it, or filter.event")
	}
	if _, err := ParseStart(c.Start); err != nil {
		found.Fail(key+".start", "use new, all, or a time such as 2026-01-31T15:04:05Z")
	}
}

func (a *Attempts) checkAttempts(key string, found *Checker) {
	between(found, key+".concurrency", a.Concurrency, 1, consumers.MaxConcurrency)
	if a.Rate > consumers.MaxRate {
		found.Fail(key+".rate", "it is more than %.0f/s: use less, or 0 for no limit", float64(consumers.MaxRate))
	}
	if a.Timeout < 0 {
		found.Fail(key+".timeout", "it is %v: use more than zero, or 0 for none", a.Timeout)
	}
	found.Check(key+".retry", a.Retry.Retry().Validate())
}

// Owned are the consumers that belong to this process, in order, and the owner of the dead
// letters of predictions.
func (c *Config) Owned() []string {
	return append(slices.Sorted(maps.Keys(c.Consumers)), bridge.PredictionsConsumer)
}

// Pulled are the consumers that a program of their own reads, in order.
func (c *Config) Pulled() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Consumers)), func(name string) bool { return c.Consumers[name].Base().Kind != KindPull })
}
