package durables

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Memory keeps one small text outside NATS. Save returns when the text is durable;
// Load returns nothing when none was saved. Calls do not overlap.
type Memory interface {
	Load() ([]byte, error)
	Save(text []byte) error
}

// Place identifies the store of a bridge's events.
type Place struct {
	// Store is [Embedded], or the addresses of an external NATS.
	Store  string `json:"store"`
	Prefix string `json:"prefix"`
	// Created is when the stream of events was created, which identifies it; zero until it was
	// reached.
	Created time.Time `json:"created,omitzero"`
}

// String names the place to a person.
func (p Place) String() string {
	if p.Store == Embedded {
		return "the embedded NATS"
	}
	return "the external NATS at " + p.Store
}

// Embedded is the Place.Store of a bridge with an embedded NATS server.
const Embedded = "embedded"

// Served is a configured consumer.
type Served struct {
	Kind   string        `json:"kind"`
	Filter bridge.Filter `json:"filter"`
	// Since is when a bridge with this consumer first ran on the folder. Every event accepted
	// since then is for the consumer.
	Since time.Time `json:"since"`
	// Made: its durable exists or existed.
	Made bool `json:"made,omitempty"`
	// Removed: the consumer left the configuration before its durable was made.
	Removed bool `json:"removed,omitempty"`
	// Before is the former filter of the consumer, if that picks events which Filter does not,
	// until the durable has the new filter.
	Before *bridge.Filter `json:"before,omitempty"`
}

// Left is an earlier configured place that still held unhandled events.
type Left struct {
	Place

	Waiting uint64 `json:"waiting"`
	// At is the time of the count.
	At time.Time `json:"at"`
}

// standing is the state of a durable at the last look.
type standing struct {
	// Next is the first sequence that the durable may still need.
	Next    uint64 `json:"next,omitempty"`
	Waiting uint64 `json:"waiting,omitempty"`
	// DeadLetters is how many dead letters alarms have reported.
	DeadLetters uint64 `json:"dead_letters,omitempty"`
}

// Record is what a data folder remembers of the consumers that its bridge has served: since
// when, and where their durables stood. NATS cannot tell this of a durable that is not made
// yet, or lost. It is safe for concurrent use.
type Record struct {
	memory Memory

	mu    sync.Mutex
	saved []byte
	page  page
	moved map[string]time.Time // when each durable was last moved, by name
}

type page struct {
	Place     Place               `json:"place"`
	Consumers map[string]Served   `json:"consumers"`
	Durables  map[string]standing `json:"durables,omitempty"`
	Left      []Left              `json:"left,omitempty"`
}

// OpenRecord reads the record from memory; nil memory remembers nothing. It notes another
// recorded place as left if events wait there. With an error the record is empty and usable.
func OpenRecord(memory Memory, at Place) (*Record, error) {
	r := newRecord(memory, at)
	if memory == nil {
		return r, nil
	}
	read, text, err := readPage(memory)
	if err != nil || read == nil {
		return r, err
	}
	r.saved = text
	r.page.Left = read.Left
	if read.Place.Store == at.Store && read.Place.Prefix == at.Prefix {
		r.page.Place = read.Place
		maps.Copy(r.page.Consumers, read.Consumers)
		maps.Copy(r.page.Durables, read.Durables)
		return r, nil
	}
	// A place that was never reached holds nothing. A place that this bridge can reach is
	// counted later.
	counted := read.Place.Store == Embedded || read.Place.Store == at.Store
	if !read.Place.Created.IsZero() && (counted || read.waiting() > 0) {
		r.page.Left = append(r.page.Left, Left{Place: read.Place, Waiting: read.waiting(), At: time.Now()})
	}
	return r, nil
}

func newRecord(memory Memory, at Place) *Record {
	return &Record{memory: memory, page: page{Place: at, Consumers: map[string]Served{}, Durables: map[string]standing{}}, moved: map[string]time.Time{}}
}

// ReadRecord returns the record that memory has, or nil. The caller must not change it: the
// bridge on the folder owns it.
func ReadRecord(memory Memory) (*Record, error) {
	read, text, err := readPage(memory)
	if err != nil || read == nil {
		return nil, err
	}
	return &Record{memory: memory, saved: text, page: *read, moved: map[string]time.Time{}}, nil
}

// Moved returns the text of a record for a store that has the same events and durables. Places
// that were left are forgotten: nobody looks there any more.
func Moved(text []byte, to Place) ([]byte, error) {
	was := page{}
	if err := json.Unmarshal(text, &was); err != nil {
		return nil, fmt.Errorf("reading the record of the consumers: %w", err)
	}
	was.Place, was.Left = to, nil
	return json.Marshal(was)
}

// Place is where the events are now.
func (r *Record) Place() Place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.page.Place
}

// Waiting is how many events waited for a consumer at the last look; for an empty name, the
// largest number of all consumers.
func (r *Record) Waiting(consumer string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if consumer == "" {
		return r.page.waiting()
	}
	return r.page.Durables[consumer].Waiting
}

func readPage(memory Memory) (*page, []byte, error) {
	text, err := memory.Load()
	if err != nil || len(text) == 0 {
		return nil, nil, err
	}
	read := &page{}
	if err := json.Unmarshal(text, read); err != nil {
		return nil, nil, fmt.Errorf("reading the record of the consumers: %w", err)
	}
	return read, text, nil
}

// waiting is a lower bound of the waiting events: one event may wait for several consumers.
func (p *page) waiting() uint64 {
	most := uint64(0)
	for _, d := range p.Durables {
		most = max(most, d.Waiting)
	}
	return most
}

// Serve saves the configured consumers. With waits it also keeps a consumer that was removed
// before its durable was made: events were accepted for it.
func (r *Record) Serve(consumers map[string]Served, waits bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.page.Consumers
	r.page.Consumers = map[string]Served{}
	now := time.Now().UTC()
	for name, next := range consumers {
		next.Since = now
		if had, ok := before[name]; ok {
			next.Since, next.Made, next.Before = had.Since, had.Made, had.Before
			if had.Before == nil && !next.Filter.Covers(had.Filter) {
				next.Before = &had.Filter
			}
		}
		r.page.Consumers[name] = next
	}
	for name, had := range before {
		if _, ok := consumers[name]; !ok && !had.Made && waits {
			had.Removed = true
			r.page.Consumers[name] = had
		}
	}
	return r.save()
}

// Consumers returns the served consumers, by name.
func (r *Record) Consumers() map[string]Served {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.page.Consumers)
}

// Made saves that the durable of the consumer exists.
func (r *Record) Made(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.page.Consumers[name]
	switch {
	case !ok || c.Made && c.Before == nil:
		return nil
	case c.Removed:
		delete(r.page.Consumers, name)
	default:
		c.Made, c.Before = true, nil
		r.page.Consumers[name] = c
	}
	return r.save()
}

// Reached saves the identity of the stream of events. A recreated stream counts from one again.
// A stream that was recorded under other addresses was not left.
func (r *Record) Reached(created time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.page.Place.Created.Equal(created) {
		return nil
	}
	r.page.Place.Created = created
	r.page.Left = slices.DeleteFunc(r.page.Left, func(l Left) bool { return l.Created.Equal(created) })
	for name, d := range r.page.Durables {
		d.Next = 0
		r.page.Durables[name] = d
	}
	return r.save()
}

// Next returns the first sequence that a durable of the stream of events may still need, if
// known.
func (r *Record) Next(durable string) (uint64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.page.Durables[durable]
	return d.Next, d.Next > 0
}

// Move saves that a durable is about to be set to a sequence. It must be called before: if the
// process ends while the durable is removed, the next one makes it there.
func (r *Record) Move(durable string, next uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.page.Durables[durable]
	d.Next = next
	r.page.Durables[durable] = d
	r.moved[durable] = time.Now()
	return r.save()
}

// Saw saves the states that a look begun at began has found. The last state of a missing
// durable stays known: it is made again there.
func (r *Record) Saw(states []adminapi.ConsumerState, began time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.page.Durables
	r.page.Durables = map[string]standing{}
	for _, s := range states {
		had, known := before[s.Name]
		switch {
		case s.Missing && !known:
		case s.Missing || r.moved[s.Name].After(began):
			r.page.Durables[s.Name] = had
		default:
			r.page.Durables[s.Name] = standing{Next: s.Acknowledged + 1, Waiting: s.Outstanding(), DeadLetters: had.DeadLetters}
		}
	}
	return r.save()
}

// DeadLettersTold is how many dead letters of the consumer alarms have reported.
func (r *Record) DeadLettersTold(consumer string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.page.Durables[consumer].DeadLetters
}

// TellDeadLetters notes that number; the next [Record.Saw] saves it.
func (r *Record) TellDeadLetters(consumer string, n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.page.Durables[consumer]
	d.DeadLetters = n
	r.page.Durables[consumer] = d
}

// Left returns the places that were left with unhandled events.
func (r *Record) Left() []Left {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.page.Left)
}

// Counted saves how many events wait in a place that was left, and forgets a place where none
// waits.
func (r *Record) Counted(at Place, waiting uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, l := range r.page.Left {
		if l.Place == at {
			r.page.Left[i].Waiting, r.page.Left[i].At = waiting, time.Now().UTC()
		}
	}
	r.page.Left = slices.DeleteFunc(r.page.Left, func(l Left) bool { return l.Waiting == 0 && l.Place == at })
	return r.save()
}

// save writes the record if it has changed. The caller holds r.mu.
func (r *Record) save() error {
	if r.memory == nil {
		return nil
	}
	text, err := json.Marshal(r.page)
	if err != nil {
		return err
	}
	if bytes.Equal(text, r.saved) {
		return nil
	}
	if err := r.memory.Save(text); err != nil {
		return fmt.Errorf("remembering the consumers: %w", err)
	}
	r.saved = text
	return nil
}
