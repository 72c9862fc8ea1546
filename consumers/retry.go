package consumers

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxRetryDelay is the longest wait before another attempt. A waiting event
// keeps a place among the unacknowledged ones that the server grants to one
// consumer, so longer waits would hold up fresh events.
const MaxRetryDelay = 2 * time.Minute

// Retry says when a failed event is tried again. The zero value is the default.
type Retry struct {
	// First is the wait after the first failed attempt, default 1 s, or Max when
	// that is shorter. It doubles with every further one.
	First time.Duration
	// Max bounds the wait, default and at most [MaxRetryDelay].
	Max time.Duration
	// GiveUpAfter is how long after the first failed attempt a failed event
	// becomes a dead letter, default 72 h.
	GiveUpAfter time.Duration
}

func (r Retry) withDefaults() Retry {
	longest := cmp.Or(r.Max, MaxRetryDelay)
	return Retry{
		First:       cmp.Or(r.First, min(time.Second, longest)),
		Max:         longest,
		GiveUpAfter: cmp.Or(r.GiveUpAfter, 72*time.Hour),
	}
}

// Validate returns an error that names the first value that cannot be used.
func (r Retry) Validate() error {
	r = r.withDefaults()
	switch {
	case r.First < 0 || r.Max < 0 || r.GiveUpAfter < 0:
		return fmt.Errorf("retry: first %v, max %v, give up after %v: none may be negative", r.First, r.Max, r.GiveUpAfter)
	case r.Max > MaxRetryDelay:
		return fmt.Errorf("retry: max is %v, it can be at most %v", r.Max, MaxRetryDelay)
	case r.First > r.Max:
		return fmt.Errorf("retry: first is %v, more than max, which is %v", r.First, r.Max)
	}
	return nil
}

// backoff is the wait after the given number of failed attempts, 1 or more: half
// of it fixed, half random, so that events that failed together do not come back
// together.
func (r Retry) backoff(attempts int) time.Duration {
	d := r.First
	for i := 1; i < attempts && d < r.Max; i++ {
		d *= 2
	}
	d = min(d, r.Max)
	return d/2 + rand.N(d/2+1)
}

// longest is the longest backoff, as random as any.
func (r Retry) longest() time.Duration { return r.Max/2 + rand.N(r.Max/2+1) }

// truncate cuts s to at most n bytes of valid UTF-8.
func truncate(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
