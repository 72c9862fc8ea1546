package forward

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/retryafter"
)

const (
	// maxAnswer is how much of an answer's body is read, in bytes.
	maxAnswer = 64 << 10
	// maxRetryAfter bounds the wait that a target can ask for, so that a mistake of
	// it does not park events for days.
	maxRetryAfter = time.Hour
)

// answer is what a target said.
type answer struct {
	status     int
	retryAfter time.Duration // 0: it did not say
	note       string
}

// readAnswer reads what is kept of a response. A body that breaks off, or is longer,
// is kept as far as it came: the status has said what becomes of the event.
// Behind 101 there is none, but a connection that is ours to read, which ends with
// no context.
func readAnswer(resp *http.Response) answer {
	var body []byte
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	}
	note := resp.Proto + " " + resp.Status
	if len(body) > 0 {
		note += "\n" + string(body)
	}
	return answer{status: resp.StatusCode, retryAfter: min(retryafter.Parse(resp.Header.Get("Retry-After"), time.Now()), maxRetryAfter), note: note}
}

// judge makes the verdict of an answer, and tells the breaker:
//
//	2xx                    done
//	410                    refused, and an alarm
//	Config.Refuse          refused
//	429, 5xx               again; the target fails. 429 and 503: after Retry-After
//	any other, 3xx too     again
func (f *Forwarder) judge(a answer, p *pass) error {
	if a.status >= 200 && a.status < 300 {
		p.succeeded()
		return nil
	}
	err := fmt.Errorf("%s answered %d %s", f.target, a.status, http.StatusText(a.status))
	switch {
	case a.status == http.StatusGone:
		p.succeeded()
		f.alarm(bridge.AlarmTargetGone, "the target answers 410, that it is gone for good, so its events become dead letters: "+
			"give the consumer another url or remove it, then redrive them", err)
		return consumers.Refused(err)
	case f.refuse[a.status]:
		p.succeeded()
		return consumers.Refused(err)
	case a.status == http.StatusTooManyRequests || a.status >= 500:
		p.failed(err, a.retryAfter)
	default:
		p.succeeded()
	}
	if a.retryAfter > 0 && (a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable) {
		// Not all at once.
		return consumers.RetryAfter(err, a.retryAfter+rand.N(a.retryAfter/10+1))
	}
	return err
}
