// Package status judges by figures how a bridge does, and says what to do. It does no input or
// output.
package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// waitsLong is from when on what waits in the journal, or to be folded, is a problem.
	waitsLong = time.Minute
	// deletedSoon is how long before the provider deletes outputs that no archive has they are
	// a problem.
	deletedSoon = 24 * time.Hour
	// maxProblems bounds the problems, of the worst kinds first.
	maxProblems = 100
)

// Facts are what is known of a bridge.
type Facts struct {
	Now time.Time
	// Reasons are why no webhook can be stored; none while one can.
	Reasons []string
	// Journal is nil in a process without one.
	Journal *adminapi.Journal
	// JournalPlace begins the subjects of alarms about that journal.
	JournalPlace string
	// Sources are the predictions that are waited for, by source.
	Sources   map[string]adminapi.SourceStatus
	Consumers []adminapi.ConsumerState
	// NextDeleted is when the provider deletes the first outputs that no archive has, zero for
	// none. Archives: an archive is configured.
	NextDeleted       time.Time
	Archives          bool
	Dead, Quarantined uint64
	// View is the view, and Folded how far it is in the stream of events.
	View   adminapi.ViewStatus
	Folded adminapi.ViewStream
	// Alarms are the active ones.
	Alarms []adminapi.Alarm
	// Unknown names what could not be asked.
	Unknown []string
}

// Judge returns how the bridge does and why, the worst first. No problem is told twice: not as
// an alarm too.
func Judge(f Facts) (adminapi.StatusState, []adminapi.Problem) {
	j := judge{Facts: f, problems: []adminapi.Problem{}}
	j.storing()
	j.predictions()
	j.consumers()
	j.outputs()
	j.keptAway()
	j.view()
	j.alarms()
	if len(j.Unknown) > 0 {
		j.degraded("unknown", time.Time{}, "see whether NATS answers, and what hookspan view status says", "nothing is known of %s, which could not be asked", strings.Join(j.Unknown, ", "))
	}
	slices.SortStableFunc(j.problems, func(a, b adminapi.Problem) int { return cmp.Compare(rank(a.State), rank(b.State)) })
	state := adminapi.StatusOK
	if len(j.problems) > 0 {
		state = j.problems[0].State
	}
	return state, j.problems[:min(len(j.problems), maxProblems)]
}

func rank(s adminapi.StatusState) int {
	return slices.Index([]adminapi.StatusState{adminapi.StatusFailing, adminapi.StatusDegraded, adminapi.StatusOK}, s)
}

// Count counts consumers by how they do.
func Count(consumers []adminapi.ConsumerState) (n adminapi.StatusConsumers) {
	n.Count = len(consumers)
	for _, c := range consumers {
		switch c.State {
		case consumerstate.Failing, consumerstate.Blocked, consumerstate.Missing, consumerstate.Unread:
			n.Failing++
		case consumerstate.Behind, consumerstate.Waiting:
			n.Behind++
		case consumerstate.Paused:
			n.Paused++
		case consumerstate.Orphaned, consumerstate.Current, consumerstate.Well:
		}
	}
	return n
}

type judge struct {
	Facts

	problems []adminapi.Problem
}

func (j *judge) add(state adminapi.StatusState, kind string, since time.Time, remedy, what string, args ...any) {
	j.problems = append(j.problems, adminapi.Problem{State: state, Kind: kind, What: printable.String(fmt.Sprintf(what, args...)), Since: since, Remedy: remedy})
}

// about says what the last problem is about.
func (j *judge) about(subject string) { j.problems[len(j.problems)-1].Subject = subject }

func (j *judge) failing(kind string, since time.Time, remedy, what string, args ...any) {
	j.add(adminapi.StatusFailing, kind, since, remedy, what, args...)
}

func (j *judge) degraded(kind string, since time.Time, remedy, what string, args ...any) {
	j.add(adminapi.StatusDegraded, kind, since, remedy, what, args...)
}

func (j *judge) storing() {
	for _, reason := range j.Reasons {
		j.failing("not_ready", time.Time{}, "webhooks are answered 503 until it is repaired, and their senders come again a few times: see the log", "no webhook can be stored: %s", reason)
	}
	if j.Journal == nil {
		return
	}
	if j.Journal.Failure != "" {
		j.failing(bridge.AlarmJournalFailed, time.Time{}, "free the disk of the data folder or repair it, and start the process again", "the journal cannot be written: %s", j.Journal.Failure)
	}
	if oldest := j.Journal.Oldest; j.Journal.Records > 0 && j.Now.Sub(oldest) > waitsLong {
		j.failing(bridge.AlarmJournalBehind, oldest, "start NATS, or repair the connection to it: nothing is lost, and what waits is forwarded then; hookspan journal show says how much it is",
			"%d accepted records wait in the journal for NATS, so no consumer has them", j.Journal.Records)
	}
	if n := j.Journal.SetAside; n > 0 {
		j.degraded(bridge.AlarmSetAside, time.Time{}, "hookspan journal show says why; after the repair hookspan journal resend sends them again", "NATS does not take %d messages, which are set aside", n)
	}
}

func (j *judge) predictions() {
	for _, name := range slices.Sorted(maps.Keys(j.Sources)) {
		s := j.Sources[name]
		switch {
		case s.Overdue == 0:
		case s.Polled:
			j.degraded("missing", s.Oldest, "they are polled; if most webhooks stay away, check at the provider where it sends them", "%d predictions of source %s are overdue", s.Overdue, name)
			j.about(name)
		default:
			j.failing("missing", s.Oldest, "set sources."+name+".api.key, so that they are polled", "%d predictions of source %s are overdue, and nobody polls for them", s.Overdue, name)
			j.about(name)
		}
	}
}

func (j *judge) consumers() {
	for _, c := range j.Consumers {
		look, before := "hookspan consumers show "+c.Name+" says more", len(j.problems)
		switch c.State {
		case consumerstate.Failing, consumerstate.Blocked:
			j.failing(bridge.AlarmConsumerFailing, c.Since, "repair its handler or its target: events wait, and are tried again; "+look, "consumer %s is %s, %d events wait: %s", c.Name, c.State.Words(), c.Outstanding(), c.Reason)
		case consumerstate.Missing:
			j.failing("consumer_missing", time.Time{}, "see the log of the process that runs it", "consumer %s has no durable, so it gets nothing", c.Name)
		case consumerstate.Unread:
			j.failing(bridge.AlarmConsumerUnread, c.LastDelivered, "start the program that reads it; "+look, "%d events wait for consumer %s, and nobody asks for them", c.Pending, c.Name)
		case consumerstate.Orphaned:
			if c.Outstanding() > 0 {
				j.degraded(bridge.AlarmConsumerOrphaned, time.Time{}, "name it in the configuration again, or remove it: hookspan consumers remove "+c.Name,
					"%d events wait for consumer %s, which the configuration does not name any more", c.Outstanding(), c.Name)
			}
		case consumerstate.Paused, consumerstate.Behind, consumerstate.Waiting, consumerstate.Current, consumerstate.Well:
		}
		if len(j.problems) > before {
			j.about(c.Name)
		}
	}
}

func (j *judge) outputs() {
	if j.Archives && !j.NextDeleted.IsZero() && j.NextDeleted.Sub(j.Now) < deletedSoon {
		j.degraded(bridge.AlarmArchiveExpires, time.Time{}, "repair the archive: hookspan consumers list shows how it does, and hookspan dead list what it gave up",
			"outputs that no archive has are deleted by their provider from %s on", j.NextDeleted.UTC().Format(time.RFC3339))
	}
}

func (j *judge) keptAway() {
	if j.Dead > 0 {
		j.degraded(bridge.AlarmDeadLetters, time.Time{}, "hookspan dead list shows why; after the repair hookspan dead redrive gives their events again", "consumers gave up on events: there are %d dead letters", j.Dead)
	}
	if j.Quarantined > 0 {
		j.degraded("quarantine", time.Time{}, "hookspan quarantine list shows why; hookspan quarantine reverify or accept makes events of them", "%d authentic deliveries could not become events", j.Quarantined)
	}
}

func (j *judge) view() {
	switch v := j.View; {
	case v.Error != "":
		j.degraded(bridge.AlarmViewFailed, v.Since, "free its disk or repair its folder; hookspan view rebuild makes it anew", "the view stands still, so lists and these figures are old: %s", v.Error)
	case v.Rebuilding:
		j.degraded(bridge.AlarmViewBehind, time.Time{}, "wait: hookspan view status says how far it is", "the view is being made anew, so searches and these figures lack %d events", j.Folded.Behind)
	case !v.UpToDate && j.Folded.Behind > 0 && j.Now.Sub(j.Folded.FoldedAt) > waitsLong:
		j.degraded(bridge.AlarmViewBehind, j.Folded.FoldedAt, "it catches up when there is less to accept: hookspan view status says how far it is", "the view is behind by %d events, which searches and these figures lack", j.Folded.Behind)
	}
}

// told are the alarms whose conditions are judged here.
var told = []string{
	bridge.AlarmJournalFailed, bridge.AlarmJournalBehind, bridge.AlarmSetAside, bridge.AlarmConsumerFailing, bridge.AlarmConsumerUnread, bridge.AlarmConsumerOrphaned,
	bridge.AlarmArchiveExpires, bridge.AlarmDeadLetters, bridge.AlarmViewFailed, bridge.AlarmViewBehind, bridge.AlarmTargetDown,
	bridge.AlarmQuarantined,
}

func (j *judge) alarms() {
	for _, a := range j.Alarms {
		remedy, elsewhere := "", j.elsewhere(a)
		if elsewhere {
			remedy = "look at the process that the subject names: at the disk of its data folder, and at its connection to NATS"
		}
		if !slices.Contains(told, a.Kind) || elsewhere {
			j.degraded(a.Kind, a.Since, remedy, "%s", printable.Truncate(a.Text, maxWhat))
			j.about(a.Subject)
		}
	}
}

// elsewhere reports whether an alarm is about the journal of another process, which is not judged
// here.
func (j *judge) elsewhere(a adminapi.Alarm) bool {
	switch a.Kind {
	case bridge.AlarmJournalFailed, bridge.AlarmJournalBehind, bridge.AlarmSetAside:
		return j.Journal == nil || !strings.HasPrefix(a.Subject, j.JournalPlace)
	}
	return false
}

// maxWhat bounds what an alarm says, in bytes.
const maxWhat = 1 << 10
