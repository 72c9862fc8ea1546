package simulate

import (
	"fmt"
	"maps"
	"slices"
)

// Report is what became of everything that was sent.
type Report struct {
	// Run begins the ids of the run's predictions.
	Run     string  `json:"run"`
	Source  string  `json:"source"`
	Seed    uint64  `json:"seed"`
	Seconds float64 `json:"seconds"`

	// Sent are webhooks of the provider, which is the sum of the next three; Attempts are those
	// of all of them. Abandoned were given up after the last attempt, Interrupted when the run
	// was.
	Sent         int `json:"sent"`
	Attempts     int `json:"attempts"`
	Acknowledged int `json:"acknowledged"`
	Abandoned    int `json:"abandoned"`
	Interrupted  int `json:"interrupted"`
	// Dropped are further webhooks, that were never sent.
	Dropped int `json:"dropped"`
	// Answers count attempts by their answer.
	Answers map[string]int `json:"answers"`
	// Duplicates are answers 200 to copies of what was there already.
	Duplicates int `json:"duplicates"`
	// Forged is what strangers sent, of which Refused was answered 4xx.
	Forged  int `json:"forged"`
	Refused int `json:"refused"`

	// Acknowledged is the sum of the next five. Waiting are not in the stream yet, as far as
	// the bridge says, and of the Unknown it could not be asked. Unacknowledged are those that
	// are stored although no answer said so.
	Stored         int `json:"stored"`
	Quarantined    int `json:"quarantined"`
	Waiting        int `json:"waiting"`
	Lost           int `json:"lost"`
	Unknown        int `json:"unknown"`
	Unacknowledged int `json:"stored_unacknowledged"`
	// Polled are dropped and abandoned ones whose end the bridge has from the provider.
	Polled int `json:"polled"`
	// Corrupt is what is there and is not what was sent.
	Corrupt int `json:"corrupt"`

	Outputs   OutputReport     `json:"outputs"`
	Consumers []ConsumerReport `json:"consumers"`

	// Notes say what a person should know, Wrong what must not be. Neither is complete when
	// there is much of it.
	Notes []string `json:"notes,omitempty"`
	Wrong []string `json:"wrong,omitempty"`

	rescued int // of the abandoned ones, by polling
}

// OutputReport counts the outputs of stored predictions.
type OutputReport struct {
	// Served is the sum of the next three. GivenUp are those that the archive could not get,
	// as it is with missing ones.
	Served   int `json:"served"`
	Archived int `json:"archived"`
	GivenUp  int `json:"given_up"`
	Waiting  int `json:"waiting"`
}

// ConsumerReport says where the stored events stand with one consumer. The sum of its counts is
// that of the stored events, also of those that no answer told of.
type ConsumerReport struct {
	Name    string `json:"name"`
	Kind    string `json:"kind,omitempty"`
	Handled int    `json:"handled"`
	// Dead are dead letters; NotMeant events are not for its filter or came before its start.
	Dead     int `json:"dead"`
	NotMeant int `json:"not_meant"`
	Waiting  int `json:"waiting"`
	// Why are examples of events that are dead or wait, one of each state.
	Why []Why `json:"why,omitempty"`
}

// Why is why one event is not handled.
type Why struct {
	Prediction string `json:"prediction"`
	State      string `json:"state"`
	Words      string `json:"words"`
	Reason     string `json:"reason,omitempty"`
	Remedy     string `json:"remedy,omitempty"`
}

// Right reports whether nothing is lost, corrupt, or unaccounted for.
func (r *Report) Right() bool { return len(r.Wrong) == 0 }

// maxNamed is how many things of a kind are named.
const maxNamed = 20

// named counts things of a kind, and keeps the words about the first of them, in order.
type named struct {
	count int
	words []string
}

func (l *named) add(format string, args ...any) {
	l.count++
	words := fmt.Sprintf(format, args...)
	at, _ := slices.BinarySearch(l.words, words)
	if at < maxNamed {
		l.words = slices.Insert(l.words, at, words)
		l.words = l.words[:min(len(l.words), maxNamed)]
	}
}

// some returns the words, and how many more there are.
func (l *named) some() []string {
	if more := l.count - len(l.words); more > 0 {
		return append(slices.Clone(l.words), fmt.Sprintf("and %d more like these", more))
	}
	return l.words
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// add takes over what the sender knows.
func (r *Report) add(t totals) {
	r.Sent, r.Attempts, r.Acknowledged, r.Abandoned = t.sent, t.attempts, t.acknowledged, t.abandoned
	r.Dropped = t.dropped
	r.Interrupted = t.sent - t.acknowledged - t.abandoned
	r.Answers, r.Duplicates, r.Forged, r.Refused = t.answers, t.duplicates, t.forged, t.refused
}

// consumers by name.
type consumers map[string]*ConsumerReport

func (c consumers) named(name string) *ConsumerReport {
	if c[name] == nil {
		c[name] = &ConsumerReport{Name: name}
	}
	return c[name]
}

func (c consumers) sorted() (out []ConsumerReport) {
	for _, name := range slices.Sorted(maps.Keys(c)) {
		out = append(out, *c[name])
	}
	return out
}
