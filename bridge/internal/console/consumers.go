package console

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

var consumerPages = map[string]page{
	"/consumers":        {template: "consumers", title: "Consumers", live: true, load: consumers},
	"/consumers/{name}": {template: "consumer", title: "Consumer", rail: "consumers", live: true, load: consumer},
}

func consumers(v *visit) (any, error) { return ask[adminapi.ConsumerList](v, "/consumers", nil) }

// consumerRemedies say what to do next, by state.
var consumerRemedies = map[consumerstate.State]string{
	consumerstate.Missing:  "The log of the process that runs it says why its durable could not be made.",
	consumerstate.Orphaned: "Name it in the configuration again, or remove it here: until then it holds back events that nobody reads.",
	consumerstate.Paused:   "Its events are kept. Resume it when whatever it waits for is done.",
	consumerstate.Blocked:  "Repair what the reason names. It tries again by itself, and no event was given up meanwhile.",
	consumerstate.Failing:  "Repair what the error names. The events that wait come again by themselves.",
	consumerstate.Unread:   "Start the program that reads it. If there is none any more, pause the consumer, or remove it.",
	consumerstate.Behind:   "Nothing need be done while the number falls. If it grows, raise its concurrency or run more processes.",
	consumerstate.Waiting:  "Nothing need be done: each comes again by itself.",
}

// consumerData is the page of one consumer.
type consumerData struct {
	adminapi.ConsumerState

	// Alarms are the active ones about the consumer, such as that its breaker is open.
	Alarms []adminapi.Alarm
	Groups []adminapi.DeadGroup
	// GroupsProblem is why there are no groups.
	GroupsProblem error
	// Settings are those of the configuration, without the beginning that they share.
	// Defaults are those that the file does not set.
	Settings, Defaults []adminapi.Setting
	Snippets           []snippet
	// Stream is the name of the stream of events.
	Stream string
	// History is how it did, for HistoryProblem empty.
	History        history
	HistoryProblem error
	// Now is when the page was asked for.
	Now time.Time
}

// why is the reason of a state, or the state in other words for one that has none.
func why(s adminapi.ConsumerState) string {
	if s.Reason == "" && s.State != consumerstate.Current {
		return s.State.Words()
	}
	return s.Reason
}

// PageTitle returns the name.
func (d consumerData) PageTitle() string { return d.Name }

// Remedy says what to do next, empty when nothing is wrong.
func (d consumerData) Remedy() string { return consumerRemedies[d.State] }

// forEver is how far away the end of a pause is that lasts until somebody resumes the consumer.
const forEver = 10 * 365 * 24 * time.Hour

// UntilResumed reports whether the pause has no end of its own.
func (d consumerData) UntilResumed() bool { return time.Until(d.PausedUntil) > forEver }

// Paused reports whether the consumer is paused, whatever else is wrong with it.
func (d consumerData) Paused() bool { return !d.PausedUntil.IsZero() }

// Removable reports whether the consumer may be removed: the configuration does not name it.
func (d consumerData) Removable() bool { return d.Orphaned || d.Kind == "" }

// consumer loads one consumer. What the page can do without is left out when it cannot be asked.
func consumer(v *visit) (any, error) {
	name := v.param("name")
	d := consumerData{Now: v.now}
	var config adminapi.Config
	var g errgroup.Group
	g.Go(func() (err error) {
		d.ConsumerState, err = ask[adminapi.ConsumerState](v, "/consumers/"+url.PathEscape(name), nil)
		return err
	})
	g.Go(func() error {
		list, err := ask[adminapi.DeadGroupList](v, "/dead/groups", url.Values{"consumer": {name}, "limit": {"10"}})
		d.Groups, d.GroupsProblem = list.Groups, err
		return nil
	})
	g.Go(func() error {
		list, err := ask[adminapi.AlarmList](v, "/alarms", url.Values{"subject": {name}, "active": {"true"}, "limit": {"10"}})
		if err == nil {
			d.Alarms = list.Alarms
		}
		return nil
	})
	g.Go(func() error {
		d.History.ConsumerHistory, d.HistoryProblem = ask[adminapi.ConsumerHistory](v, "/consumers/"+url.PathEscape(name)+"/history", nil)
		return nil
	})
	g.Go(func() (err error) {
		config, err = ask[adminapi.Config](v, "/config", nil)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, s := range config.Settings {
		if key, ok := strings.CutPrefix(s.Key, "consumers."+name+"."); ok && key != "kind" {
			s.Key = key
			if s.Line > 0 || slices.Contains(telling, key) {
				d.Settings = append(d.Settings, s)
			} else {
				d.Defaults = append(d.Defaults, s)
			}
		}
	}
	prefix := settingOf(config, "nats.prefix")
	d.Stream = bridge.Names{Prefix: prefix}.EventsStream()
	if d.Kind == "" || d.Kind == "pull" {
		d.Snippets = snippets(name, prefix, d.Kind == "pull", settingOf(config, "nats.url") != "")
	}
	slices.SortStableFunc(d.Groups, func(a, b adminapi.DeadGroup) int { return cmp.Compare(b.Count, a.Count) })
	return d, nil
}

// telling are keys that say how much a consumer does at once, shown also where they are defaults.
var telling = []string{"concurrency", "parallel", "rate", "once", "lease", "max_deliveries"}

// settingOf returns the value of a key that has a text, empty without one.
func settingOf(config adminapi.Config, key string) string {
	for _, s := range config.Settings {
		if s.Key == key {
			value, _ := s.Value.(string)
			return value
		}
	}
	return ""
}
