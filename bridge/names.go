package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// DefaultPrefix begins every subject and, in upper case, every stream name, unless the
// operator chose another prefix.
const DefaultPrefix = "hookspan"

// maxModelTokens bounds the subject tokens of a model. The last token holds the rest of a
// longer model.
const maxModelTokens = 8

var nameRE = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// CheckName returns an error that wraps [ErrName] unless name is valid for a source, a
// consumer or the prefix: 1 to 32 of a-z, 0-9, '_' and '-', the first a letter or digit.
// The error calls the name what.
func CheckName(what, name string) error {
	if nameRE.MatchString(name) {
		return nil
	}
	if len(name) > 64 {
		name = name[:64] + "…"
	}
	return fmt.Errorf("%s %q: %w: use 1 to 32 of a-z, 0-9, _ and -, beginning with a letter or digit", what, name, ErrName)
}

// Names builds every name on the wire. The zero value uses [DefaultPrefix].
type Names struct {
	// Prefix must satisfy [CheckName].
	Prefix string
}

func (n Names) prefix() string {
	if n.Prefix == "" {
		return DefaultPrefix
	}
	return n.Prefix
}

func (n Names) upper(s string) string { return strings.ToUpper(n.prefix()) + s }

// EventsStream is the stream of all events.
func (n Names) EventsStream() string { return n.upper("_EVENTS") }

// DeadStream is the stream of dead letters.
func (n Names) DeadStream() string { return n.upper("_DEAD") }

// QuarantineStream is the stream of deliveries that are authentic and not usable.
func (n Names) QuarantineStream() string { return n.upper("_QUARANTINE") }

// QuarantineSubjects are the subjects that [Names.QuarantineStream] stores.
func (n Names) QuarantineSubjects() []string { return []string{n.prefix() + ".quarantine.>"} }

// Quarantine is the subject of a quarantined delivery to source. The cause must be one
// token.
func (n Names) Quarantine(source, cause string) string {
	return n.prefix() + ".quarantine." + source + "." + cause
}

// UnconfirmedStream is the queue of deliveries whose provider has to be asked what they say.
func (n Names) UnconfirmedStream() string { return n.upper("_UNCONFIRMED") }

// UnconfirmedSubjects are the subjects that [Names.UnconfirmedStream] stores.
func (n Names) UnconfirmedSubjects() []string { return []string{n.prefix() + ".unconfirmed.>"} }

// AllUnconfirmed covers the deliveries to source.
func (n Names) AllUnconfirmed(source string) string {
	return n.prefix() + ".unconfirmed." + source + ".>"
}

// Unconfirmed is the subject of a delivery to source about the prediction, of whose id it has a
// hash.
func (n Names) Unconfirmed(source, prediction string) string {
	sum := sha256.Sum256([]byte(prediction))
	return n.prefix() + ".unconfirmed." + source + "." + hex.EncodeToString(sum[:8])
}

// RefusedStream is the bounded ring of deliveries that were not authentic.
func (n Names) RefusedStream() string { return n.upper("_REFUSED") }

// RefusedSubjects are the subjects that [Names.RefusedStream] stores.
func (n Names) RefusedSubjects() []string { return []string{n.prefix() + ".refused.>"} }

// Refused is the subject of a refused delivery to source. The cause must be one token.
func (n Names) Refused(source, cause string) string {
	return n.prefix() + ".refused." + source + "." + cause
}

// AlarmsStream is the stream of alarms.
func (n Names) AlarmsStream() string { return n.upper("_ALARMS") }

// AlarmsSubjects are the subjects that [Names.AlarmsStream] stores.
func (n Names) AlarmsSubjects() []string { return []string{n.prefix() + ".alarms.>"} }

// Alarm is the subject of an alarm. The kind must be one token.
func (n Names) Alarm(kind string) string { return n.prefix() + ".alarms." + kind }

// AdvisoriesStream is the stream of NATS advisories about deliveries that ended without a
// verdict of package consumers.
func (n Names) AdvisoriesStream() string { return n.upper("_ADVISORIES") }

// AdvisoriesSubjects are the subjects of [Names.AdvisoriesStream], as the NATS server names
// them.
func (n Names) AdvisoriesSubjects() []string {
	return []string{
		"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + n.EventsStream() + ".>",
		"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED." + n.EventsStream() + ".>",
	}
}

// SpoolStream is the stream in which an earlier version kept on this machine what the journal
// keeps now.
func (n Names) SpoolStream() string { return n.upper("_SPOOL") }

// Unspool is the subject of a message that is stored in [Names.SpoolStream] as spooled.
func (n Names) Unspool(spooled string) string {
	return n.prefix() + "." + strings.TrimPrefix(strings.TrimPrefix(spooled, n.prefix()+".spool."), "stuck.")
}

// StreamOf is the stream that stores subject, or "" when that is none of the streams that
// deliveries go to.
func (n Names) StreamOf(subject string) string {
	tail, ok := strings.CutPrefix(subject, n.prefix()+".")
	first, _, _ := strings.Cut(tail, ".")
	switch {
	case !ok:
		return ""
	case first == "events" || first == "again":
		return n.EventsStream()
	case first == "quarantine":
		return n.QuarantineStream()
	case first == "unconfirmed":
		return n.UnconfirmedStream()
	}
	return ""
}

// AttemptsBucket is the key-value bucket of attempt records: failed attempts, claims and
// done marks.
func (n Names) AttemptsBucket() string { return n.upper("_ATTEMPTS") }

// EventsSubjects are the subjects that [Names.EventsStream] stores.
func (n Names) EventsSubjects() []string {
	return []string{n.prefix() + ".events.>", n.prefix() + ".again.>"}
}

// DeadSubjects are the subjects that [Names.DeadStream] stores.
func (n Names) DeadSubjects() []string { return []string{n.prefix() + ".dead.>"} }

// AllDead covers every dead letter of one consumer.
func (n Names) AllDead(consumer string) string { return n.prefix() + ".dead." + consumer + ".>" }

// AllEvents covers every event.
func (n Names) AllEvents() string { return n.prefix() + ".events.>" }

// EventsOf covers every event of one source.
func (n Names) EventsOf(source string) string { return n.prefix() + ".events." + source + ".>" }

// AllAgain covers every copy that comes again for one consumer.
func (n Names) AllAgain(consumer string) string { return n.prefix() + ".again." + consumer + ".>" }

// Again is the subject of a copy for one consumer; subject is that of the event or of an
// earlier copy.
func (n Names) Again(consumer, subject string) string {
	return n.prefix() + ".again." + consumer + "." + n.tail(consumer, subject)
}

// consumerIn returns the token after prefix if it is a name and more tokens follow,
// otherwise "".
func consumerIn(subject, prefix string) string {
	tail, ok := strings.CutPrefix(subject, prefix)
	name, rest, more := strings.Cut(tail, ".")
	if !ok || !more || rest == "" || CheckName("consumer", name) != nil {
		return ""
	}
	return name
}

// IsAgain reports whether subject is that of a copy that comes again for one consumer.
func (n Names) IsAgain(subject string) bool { return strings.HasPrefix(subject, n.prefix()+".again.") }

// AttemptsStream is the stream behind [Names.AttemptsBucket].
func (n Names) AttemptsStream() string { return "KV_" + n.AttemptsBucket() }

// AttemptsSubject is the subject of one key of [Names.AttemptsBucket].
func (n Names) AttemptsSubject(key string) string { return "$KV." + n.AttemptsBucket() + "." + key }

// AttemptsPrefix begins every key of one consumer in [Names.AttemptsBucket].
func (n Names) AttemptsPrefix(consumer string) string { return consumer + "." }

// AttemptsTold is the subject on which a consumer tells of its attempts as they end, see
// [EncodeAttempts]; "*" covers every consumer. Nothing is stored.
func (n Names) AttemptsTold(consumer string) string { return n.prefix() + ".attempts." + consumer }

// AttemptsConsumer is the consumer in a subject that [Names.AttemptsTold] made, or "".
func (n Names) AttemptsConsumer(subject string) string {
	name, ok := strings.CutPrefix(subject, n.AttemptsTold(""))
	if !ok || CheckName("consumer", name) != nil {
		return ""
	}
	return name
}

// reportToken follows the consumer's name in the keys of reports.
const reportToken = "state."

// ReportKey is the key in [Names.AttemptsBucket] of one process's report about a consumer,
// see package consumerstate. Process is one token and tells processes apart.
func (n Names) ReportKey(consumer, process string) string {
	return n.AttemptsPrefix(consumer) + reportToken + process
}

// AllReports covers the reports of every consumer.
func (n Names) AllReports() string { return n.AttemptsSubject("*." + reportToken + "*") }

// ReportConsumer is the consumer in the subject of a report, or "".
func (n Names) ReportConsumer(subject string) string {
	return consumerIn(subject, n.AttemptsSubject(""))
}

// Event is the subject of an event of [KindPrediction]. The source must satisfy
// [CheckName], the status must be normalised, the model is as the sender wrote it.
func (n Names) Event(source, status, model string) string {
	return n.prefix() + ".events." + source + "." + KindPrediction + "." + status + "." + strings.Join(modelTokens(model), ".")
}

// OfKind is the subject of an event of another kind than [KindPrediction]. Source and model
// are as for [Names.Event].
func (n Names) OfKind(kind, source, model string) string {
	return n.prefix() + ".events." + source + "." + kind + "." + strings.Join(modelTokens(model), ".")
}

// SubjectOf is the subject of an event of any kind.
func (n Names) SubjectOf(e *Event) string {
	if kind := e.Kind(); kind != KindPrediction {
		return n.OfKind(kind, e.Source, e.Model)
	}
	return n.Event(e.Source, e.Status, e.Model)
}

// Dead is the subject of consumer's dead letter of the event or copy that it read from
// subject.
func (n Names) Dead(consumer, subject string) string {
	return n.prefix() + ".dead." + consumer + "." + n.tail(consumer, subject)
}

// DeadConsumer is the consumer in a subject that [Names.Dead] or [Names.Expired] made, or
// "".
func (n Names) DeadConsumer(subject string) string {
	tail, ok := strings.CutPrefix(subject, n.prefix()+".dead.")
	token, _, _ := strings.Cut(tail, ".")
	name, err := DecodeToken(token)
	if !ok || err != nil {
		return ""
	}
	return name
}

// Expired is the subject of records about events that left the stream before consumer had
// handled them. Consumer may be a durable of another program; it is empty when there was no
// durable at all.
func (n Names) Expired(consumer string) string {
	return n.prefix() + ".dead." + EncodeToken(consumer) + ".expired"
}

// AllExpired covers the subjects of [Names.Expired]. Only the bridge may publish there,
// because it trusts these records.
func (n Names) AllExpired() string { return n.prefix() + ".dead.*.expired" }

// tail is an event's subject without "<prefix>.events." or "<prefix>.again.<consumer>.".
func (n Names) tail(consumer, subject string) string {
	for _, p := range []string{n.prefix() + ".events.", n.prefix() + ".again." + consumer + "."} {
		if t, ok := strings.CutPrefix(subject, p); ok {
			return t
		}
	}
	return EncodeToken(subject)
}

// SubjectParts are the parts of an event's subject.
type SubjectParts struct {
	Source string
	Kind   string
	// Status is normalised; only events of [KindPrediction] have one.
	Status string
	// Model is empty, and ModelShortened set, when the subject holds only a digest of a
	// part of it.
	Model          string
	ModelShortened bool
}

// ParseEvent is the inverse of [Names.Event] and of [Names.OfKind].
func (n Names) ParseEvent(subject string) (SubjectParts, error) {
	t := strings.Split(subject, ".")
	if len(t) < 6 || len(t) > 5+maxModelTokens || t[0] != n.prefix() || t[1] != "events" {
		return SubjectParts{}, fmt.Errorf("subject %q: %w", subject, ErrNotEvent)
	}
	if err := CheckName("source", t[2]); err != nil {
		return SubjectParts{}, fmt.Errorf("subject %q: %w", subject, err)
	}
	parts := SubjectParts{Source: t[2]}
	switch {
	case t[3]+"."+t[4] == KindErased:
		parts.Kind = KindErased
	case t[3] == KindPrediction:
		if _, err := DecodeToken(t[4]); err != nil && !errors.Is(err, ErrShortened) {
			return SubjectParts{}, fmt.Errorf("subject %q: status: %w: %w", subject, ErrNotEvent, err)
		}
		parts.Kind, parts.Status = KindPrediction, t[4]
	case slices.Contains(eventKinds, t[3]+"."+t[4]):
		parts.Kind = t[3] + "." + t[4]
	default:
		return SubjectParts{}, fmt.Errorf("subject %q: %w", subject, ErrNotEvent)
	}
	model := make([]string, 0, maxModelTokens)
	for _, token := range t[5:] {
		part, err := DecodeToken(token)
		if errors.Is(err, ErrShortened) {
			parts.ModelShortened = true
			continue
		}
		if err != nil {
			return SubjectParts{}, fmt.Errorf("subject %q: model: %w: %w", subject, ErrNotEvent, err)
		}
		model = append(model, part)
	}
	if !parts.ModelShortened {
		parts.Model = strings.Join(model, "/")
	}
	return parts, nil
}

func modelTokens(model string) []string {
	tokens := strings.SplitN(model, "/", maxModelTokens)
	for i, part := range tokens {
		tokens[i] = EncodeToken(part)
	}
	return tokens
}
