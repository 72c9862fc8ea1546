package simulate

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/sending"
)

// record is one webhook of the provider.
type record struct {
	n    int // of the prediction
	late bool
	// unreadable: no prediction can be read from it, so its place is the quarantine.
	unreadable bool
	// dropped: it is never sent.
	dropped bool
	at      time.Time // when the prediction ended

	// ---- guarded by account.mu while webhooks are sent
	event string // the id that the first 200 named
	// acknowledged: an answer was 200; quarantined: it said so. abandoned: the schedule is over.
	// With none of them sending was interrupted.
	acknowledged, quarantined, abandoned bool
	// overtaken: a copy was answered as one, and what it is a copy of may still be answered.
	overtaken bool
}

// account is what the sender was answered. It is safe for concurrent use.
type account struct {
	mu      sync.Mutex
	records []*record
	answers map[string]int
	// attempts are those of all; duplicates were answered 200 as copies of what was known.
	attempts, duplicates, finished int
	forged, refused                int
	strange                        named
	// asks: the bridge asks the provider, so that an answer may name no event.
	asks bool
}

func newAccount() *account { return &account{answers: map[string]int{}} }

func (a *account) begin(r *record) *record {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records = append(a.records, r)
	return r
}

// end notes that nothing more is sent of r, and whether the sender gave it up.
func (a *account) end(r *record, abandoned bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.finished++
	r.abandoned = abandoned
}

// unannounced notes that the bridge did not take an announcement.
func (a *account) unannounced(id string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.strange.add("%s could not be announced: %v", id, err)
}

// answered notes the answer to an attempt, and reports whether it was 200.
func (a *account) answered(r *record, id, result, event, why string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempts++
	if why != "" {
		a.answers[why]++
		return false
	}
	a.answers[saidOK(result)]++
	switch {
	case result == string(bridge.Duplicate):
		a.duplicates++
		r.overtaken = !r.acknowledged
	case r.acknowledged && !r.overtaken:
		a.duplicates++
	default:
		r.overtaken = false
	}
	r.acknowledged = true
	switch bridge.Result(result) {
	case bridge.Quarantined:
		r.quarantined = true
		if !r.unreadable {
			a.strange.add("%s can be read, and was answered as quarantined", id)
		}
		return true
	case bridge.Unconfirmed:
		if !a.asks {
			a.strange.add("%s was answered as %s, and this provider is not asked", id, result)
		}
	case bridge.Stored, bridge.Duplicate, bridge.Spooled:
	default:
		a.strange.add("%s was answered 200 %.40q", id, result)
	}
	switch {
	case r.unreadable:
		a.strange.add("%s cannot be read, and was answered 200 %.40q", id, result)
	case event == "" && a.asks: // the event is made of what the provider will say
	case !strings.HasPrefix(event, id+"/"):
		a.strange.add("%s was answered with the event id %.100q", id, event)
	case r.event != "" && r.event != event:
		a.strange.add("%s was answered with two event ids, the second is %.100q", id, event)
	case r.event == "":
		r.event = event
	}
	return true
}

// saidOK returns the words by which a 200 is counted: one for each result that a bridge has, and
// one for all others.
func saidOK(result string) string {
	switch bridge.Result(result) {
	case bridge.Stored, bridge.Duplicate, bridge.Spooled, bridge.Quarantined, bridge.Unconfirmed:
		return fmt.Sprintf("%d %s", http.StatusOK, result)
	default:
		return fmt.Sprintf("%d of another kind", http.StatusOK)
	}
}

// forgery notes the answer to what a stranger sent.
func (a *account) forgery(answer sending.Answer, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	result, _, why := sending.Outcome(answer, err)
	a.forged++
	switch {
	case why == "":
		a.strange.add("a forgery was answered 200 %.40q", result)
	case err == nil && answer.Status/100 == 4:
		a.refused++
	}
	if why == "" {
		why = saidOK(result)
	}
	a.answers["to a forgery: "+why]++
}

// totals are the counts of an account.
type totals struct {
	sent, finished, attempts, acknowledged, abandoned, dropped int
	duplicates, forged, refused                                int
	answers                                                    map[string]int
}

func (a *account) totals() totals {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := totals{
		sent: len(a.records), finished: a.finished, attempts: a.attempts, duplicates: a.duplicates, forged: a.forged, refused: a.refused,
		answers: maps.Clone(a.answers),
	}
	for _, r := range a.records {
		switch {
		case r.dropped:
			t.dropped++
		case r.acknowledged: // by a copy, it may be
			t.acknowledged++
		case r.abandoned:
			t.abandoned++
		}
	}
	t.sent -= t.dropped
	return t
}
