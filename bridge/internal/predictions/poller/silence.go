package poller

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// silentAfter is how many predictions without a webhook make a source silent.
	silentAfter = 3
	// silenceRemembers bounds the remembered polled predictions, the last ones.
	silenceRemembers = 1024
)

// silence detects that the webhooks of one source have stopped. It is safe for concurrent
// use.
type silence struct {
	// began is when the watch began: earlier webhooks may have been sent in vain.
	began time.Time

	mu          sync.Mutex
	lastWebhook time.Time
	// polled are the ends found by polling since the last webhook; earlier counts further
	// ones.
	polled  []polledEnd
	earlier int
	check   bool // an end was polled since the last judgement, or a webhook ended a silence
	silent  bool // by the last judgement
}

// polledEnd is an end that was found by polling: when it came by the provider's clock, when
// it arrived here, and whether the bridge itself had submitted the prediction and so
// requested a webhook.
type polledEnd struct {
	completed, received time.Time
	submitted           bool
}

// webhook notes the arrival of a webhook. Webhooks come in any order.
func (s *silence) webhook(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !at.After(s.lastWebhook) {
		return
	}
	s.lastWebhook = at
	since := s.polled[:0]
	for _, p := range s.polled {
		if p.received.After(at) {
			since = append(since, p)
		}
	}
	if len(since) < len(s.polled) {
		s.earlier = 0
	}
	s.polled = since
	s.check = s.check || s.silent
}

// poll notes an end found by polling; live means a moment ago.
func (s *silence) poll(p polledEnd, live bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A view that is made anew tells of an end again.
	if !p.received.After(s.lastWebhook) || slices.Contains(s.polled, p) {
		return
	}
	if len(s.polled) == silenceRemembers {
		s.polled = append(s.polled[:0], s.polled[1:]...)
		s.earlier++
	}
	s.polled = append(s.polled, p)
	s.check = s.check || live
}

// since returns when the last webhook came and how many ends were polled since.
func (s *silence) since() (lastWebhook time.Time, polled int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastWebhook, s.earlier + len(s.polled)
}

// unjudged reports whether an end was polled since the last judgement.
func (s *silence) unjudged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.check
}

// judge returns the alarm of a silent source, if it is: predictions ended at the provider after its
// last webhook had come, and had none. Those that ended before, or before this process
// began, lack theirs for another reason. A source that has never sent a webhook counts only
// if the bridge itself requested webhooks.
func (s *silence) judge(source string) []bridge.Alarm {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.check = false
	missing, never := 0, s.lastWebhook.IsZero()
	for _, p := range s.polled {
		if p.completed.After(s.lastWebhook) && p.completed.After(s.began) && (p.submitted || !never) {
			missing++
		}
	}
	if s.silent = missing >= silentAfter; !s.silent {
		return nil
	}
	return []bridge.Alarm{silent(source, s.lastWebhook, s.earlier+len(s.polled))}
}

func silent(source string, last time.Time, polled int) bridge.Alarm {
	text := fmt.Sprintf("%s has never sent a webhook, as far as the view remembers; %d predictions were completed by polling; ", source, polled)
	details := map[string]any{"source": source, "polled_since": polled}
	if !last.IsZero() {
		last = last.UTC()
		text = fmt.Sprintf("webhooks from %s stopped at %s (%s); %d predictions were completed by polling since then; ",
			source, last.Format("15:04"), last.Format(time.RFC3339), polled)
		details["last_webhook"] = last
	}
	return bridge.Alarm{
		Kind: bridge.AlarmSilence, Subject: source, Details: details, Over: "webhooks from " + source + " come again",
		Text: text + "check the webhook_url that they are submitted with, and the secret",
	}
}
