// Package fakesender plays the senders of webhooks: what each kind of provider writes, how it signs,
// when it tries again, which answers end its attempts, and what its API answers. It is written from
// the providers' pages and shares no code with what reads and verifies them, so that a mistake there
// is not made here too. Where a provider says nothing of its repeats, its file says what is assumed.
package fakesender

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The statuses of [Prediction].
const (
	completed = "completed"
	failed    = "failed"
	canceled  = "canceled"
	running   = "processing"
)

// Prediction is what a provider tells of.
type Prediction struct {
	ID, Model string
	// Status is completed, failed, canceled or processing. Senders of the family of Get3W write
	// any other word as it is.
	Status string
	// Outputs are addresses. A sender with one output writes the first, and one that has its
	// outputs in the text itself writes none.
	Outputs []string
	Error   string
	// Prompt makes a body larger.
	Prompt         string
	Number         int
	Created, Ended time.Time
}

// Message is what is signed.
type Message struct {
	// Prediction is the id of its prediction.
	Prediction string
	At         time.Time
	Body       []byte
}

// Sender is one kind of provider. It is read-only, so it is safe for concurrent use.
type Sender struct {
	// Kind is what the configuration calls it.
	Kind string
	// Gaps are between the end of an attempt and the next, each of which waits for its answer
	// for Timeout.
	Gaps    []time.Duration
	Timeout time.Duration
	// Only200: no other status counts as accepted.
	Only200 bool
	// One: a prediction has one output at most.
	One bool

	// ends reports whether a status that is no success ends the attempts; nil for none.
	ends func(status int) bool
	// words are how it writes statuses; nil writes each as it is.
	words map[string]string
	// webhook and answer return the bodies; nil when it sends none, or cannot be asked.
	webhook, answer func(p Prediction, word string) any
	// inline returns the output that stands in a body; nil for addresses.
	inline func(p Prediction) any
	// path is that of a prediction's result behind the address of the API, as http.ServeMux has
	// it, or with "?name=" at the end.
	path string
	// key are the header of the API's key and what stands before the key in it.
	key [2]string
	// open is the status by which the API says that a prediction runs; 0 says it in the body.
	open int
	// failure is the status of its answers about a failed prediction; 0 is 200.
	failure int
	// enveloped: an answer stands in the member data of {"code", "message", "data"}.
	enveloped bool
	scheme    scheme
}

// Of returns the sender of a kind. The error for an unknown one lists the known ones.
func Of(kind string) (*Sender, error) {
	for i := range senders {
		if senders[i].Kind == kind {
			return &senders[i], nil
		}
	}
	return nil, fmt.Errorf("unknown kind %q: use one of %s", kind, strings.Join(Kinds(), ", "))
}

// Kinds returns the names of all kinds, sorted.
func Kinds() []string {
	var out []string
	for _, s := range senders {
		out = append(out, s.Kind)
	}
	slices.Sort(out)
	return out
}

// Posts reports whether it sends webhooks at all.
func (s *Sender) Posts() bool { return s.webhook != nil }

// Answers reports whether its API tells the result of a prediction.
func (s *Sender) Answers() bool { return s.answer != nil }

// TellsEndsOnly reports whether nothing is kept of what it tells before an end.
func (s *Sender) TellsEndsOnly() bool { return s.words != nil }

// Statuses returns the statuses of ends that it can tell, sorted; none when it can tell any.
func (s *Sender) Statuses() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.words)), func(status string) bool { return status == running })
}

func (s *Sender) word(status string) string {
	if word, ok := s.words[status]; ok {
		return word
	}
	return status
}

// Webhook returns the body of a webhook.
func (s *Sender) Webhook(p Prediction) []byte { return encode(s.webhook(p, s.word(p.Status))) }

// Answer returns the API's answer about a prediction without what is around it, as events have it.
func (s *Sender) Answer(p Prediction) []byte { return encode(s.answer(p, s.word(p.Status))) }

// Inline returns the bytes of the output that stands in the body of a completed prediction, false
// when outputs are addresses.
func (s *Sender) Inline(p Prediction) ([]byte, bool) {
	if s.inline == nil {
		return nil, false
	}
	value := s.inline(p)
	if text, is := value.(string); is {
		return []byte(text), true
	}
	return encode(value), true
}

// Accepts reports whether a status ends the attempts well.
func (s *Sender) Accepts(status int) bool {
	return status == http.StatusOK || !s.Only200 && status/100 == 2
}

// ComesAgain reports whether another attempt follows after a status, if any is left.
func (s *Sender) ComesAgain(status int) bool {
	return !s.Accepts(status) && (s.ends == nil || !s.ends(status))
}

type object = map[string]any

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // it is made of texts, numbers and lists
	}
	return body
}

// first returns the first output, nil without any.
func first(p Prediction) any {
	if len(p.Outputs) == 0 {
		return nil
	}
	return p.Outputs[0]
}

// orNil returns nil for an empty text.
func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func timeText(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// steps returns gaps in seconds.
func steps(seconds ...float64) (out []time.Duration) {
	for _, s := range seconds {
		out = append(out, time.Duration(s*float64(time.Second)))
	}
	return out
}

// repeated returns n gaps of that many seconds.
func repeated(n int, seconds float64) []time.Duration {
	return slices.Repeat(steps(seconds), n)
}

var bearer = [2]string{"Authorization", "Bearer "}

// endsExcept are senders that come again after the statuses alone.
func endsExcept(again ...int) func(int) bool {
	return func(status int) bool { return !slices.Contains(again, status) }
}

// clientErrors are senders that any status 4xx ends.
func clientErrors(status int) bool { return status/100 == 4 }
