package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// Source is a sender, as configured.
type Source struct {
	Name string
	// HasSecret: a signature can be checked. Without it everything is refused.
	HasSecret bool
	MaxAge    time.Duration
	// LastAttempt is when the sender's last attempt begins at the earliest, and RetrySpan when it
	// has ended at the latest, after the first has begun.
	LastAttempt, RetrySpan time.Duration
	// Unproved: no webhook counts before the provider has confirmed it.
	Unproved bool
	// NoWebhook: the provider sends none, and is only asked.
	NoWebhook bool
	// Polled: the provider is asked for predictions that are overdue.
	Polled bool
	// OutputLife is how long the provider keeps outputs, 0 when it does not say.
	OutputLife time.Duration
}

// Source judges what a sender may do, and how long an outage it forgives.
func (r *Report) Source(s Source) {
	switch {
	case s.NoWebhook:
		r.ok(CheckSource, s.Name, "no webhook is accepted, the provider is asked")
	case s.Unproved:
		r.ok(CheckSource, s.Name, "nothing proves its webhooks, so what they say is asked of the provider before it counts")
	case s.HasSecret:
		r.ok(CheckSource, s.Name, "only signed webhooks are accepted")
	default:
		r.problem(CheckSource, s.Name, "set one of sources."+s.Name+".secrets", "it has no secret, so every webhook is refused, and given up by its sender after %v", s.RetrySpan)
	}
	life := "the provider does not say how long it keeps outputs"
	if s.OutputLife > 0 {
		life = "the provider keeps outputs for " + days(s.OutputLife)
	}
	forgives := fmt.Sprintf("an outage of up to %v loses no webhook; ", s.LastAttempt)
	longer := "after a longer one"
	if s.LastAttempt == 0 {
		forgives, longer = "the sender documents no repeats, so an outage loses the webhooks that fall into it; ", "afterwards"
	}
	if s.NoWebhook {
		forgives, longer = "the provider sends no webhooks; ", "instead"
	}
	if s.Polled {
		r.note(CheckOutage, s.Name, "announce predictions, or submit them through the bridge: the provider lists none",
			"%s%s the provider is asked for predictions that were announced, and those that nobody announced are lost; %s", forgives, longer, life)
		return
	}
	r.warning(CheckOutage, s.Name, "set sources."+s.Name+".api.key and run the role reconciler, and announce predictions or submit them through the bridge",
		"%s%s nobody asks the provider for what is missing; %s", forgives, longer, life)
}

func days(d time.Duration) string {
	if d >= 48*time.Hour && d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + " days"
	}
	return d.String()
}

// trial is how one check judges what was tried outside of the bridge.
type trial struct {
	fails adminapi.FindingLevel
	// remedy has the name of the source or consumer in the place of its %s.
	well, broken, remedy string
}

var trials = map[string]trial{
	CheckAPI: {
		fails: adminapi.FindingWarning, well: "the provider's API is reached", broken: "the provider's API is not reached, so overdue predictions are not asked for",
		remedy: "see whether this machine reaches sources.%s.api.base_url",
	},
	CheckTarget: {
		fails: adminapi.FindingWarning, well: "the service answers", broken: "the service is not reached",
		remedy: "start the service, or repair consumers.%s.url: its events wait meanwhile",
	},
	CheckArchive: {
		fails: adminapi.FindingProblem, well: "a file was written there and removed", broken: "the archive cannot be written",
		remedy: "repair consumers.%s.store before the provider deletes the outputs",
	},
}

// Tried judges what became of a trial outside of the bridge: of the API of the source called name
// ([CheckAPI]), or of the service ([CheckTarget]) or the archive ([CheckArchive]) of the consumer
// called name. Err is nil when it went well.
func (r *Report) Tried(check, name string, err error) {
	t := trials[check]
	if err != nil {
		r.add(t.fails, check, name, fmt.Sprintf(t.remedy, name), "%s: %v", t.broken, err)
		return
	}
	r.ok(check, name, "%s", t.well)
}

// Listener is a listener beyond this machine.
type Listener struct {
	// Key is its key in the configuration.
	Key      string
	Loopback bool
	TLS      bool
	// Tokens: the API needs one.
	Tokens bool
}

// Admin judges the listener for operators.
func (r *Report) Admin(l Listener) {
	switch {
	case l.Loopback:
		r.ok(CheckAdmin, l.Key, "operators reach the bridge from this machine alone")
	case !l.Tokens:
		r.note(CheckAdmin, l.Key, "set admin.tokens if the API is to be used from elsewhere", "health and metrics are served beyond this machine, and the API is not, since there are no tokens")
	case !l.TLS:
		r.warning(CheckAdmin, l.Key, "set admin.tls, or listen on loopback behind a proxy with TLS", "tokens travel in clear beyond this machine")
	default:
		r.ok(CheckAdmin, l.Key, "the API needs a token and speaks TLS")
	}
}

// EmbeddedListener judges the listener of the embedded NATS.
func (r *Report) EmbeddedListener(l Listener) {
	if !l.Loopback {
		r.warning(CheckNATSTLS, l.Key, "use 127.0.0.1, or an external NATS with TLS", "the embedded NATS listens beyond this machine, and passwords and events travel in clear")
	}
}

// Ready judges why nothing can be stored.
func (r *Report) Ready(reasons []string) {
	if len(reasons) > 0 {
		r.problem(CheckReady, "", "see the log", "webhooks are refused: %s", strings.Join(reasons, "; "))
		return
	}
	r.ok(CheckReady, "", "webhooks can be stored")
}

// View judges the view. Why is why it stands still, "" when it does not.
func (r *Report) View(upToDate bool, why string) {
	switch {
	case why != "":
		r.problem(CheckView, "", "hookspan view rebuild, if it does not recover by itself", "lists, searches and polling stand still: %s", why)
	case !upToDate:
		r.note(CheckView, "", "hookspan view status says how far it is", "lists and searches are behind what is stored")
	default:
		r.ok(CheckView, "", "lists and searches show what is stored")
	}
}

// Alarm is one that is active.
type Alarm struct {
	Kind, Subject, Text string
}

// maxAlarms bounds the alarms that are repeated.
const maxAlarms = 50

// Alarms repeats the active ones.
func (r *Report) Alarms(active []Alarm) {
	if len(active) == 0 {
		r.ok(CheckAlarms, "", "no alarm is active")
	}
	for _, a := range active[:min(len(active), maxAlarms)] {
		name := a.Kind
		if a.Subject != "" {
			name += " " + a.Subject
		}
		r.warning(CheckAlarms, name, "docs/operations.md says what to do about "+a.Kind, "%s", a.Text)
	}
	if more := len(active) - maxAlarms; more > 0 {
		r.warning(CheckAlarms, "", "hookspan alarms --active lists them", "%d more alarms are active", more)
	}
}

// AllChecks returns every check, in order.
func AllChecks() []string {
	all := []string{
		CheckAdmin, CheckAlarms, CheckAPI, CheckArchive, CheckClock, CheckConfig, CheckDisk, CheckFsync, CheckJournal, CheckNATS, CheckNATSTLS, CheckOpen, CheckOutage, CheckReady,
		CheckReplicas, CheckRights, CheckSecrets, CheckSource, CheckStreams, CheckTarget, CheckView, CheckWindow,
	}
	slices.Sort(all)
	return all
}
