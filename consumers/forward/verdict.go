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
	// maxBody bounds what is read of an answer's body, in bytes.
	maxBody = 64 << 10
	// maxRetryAfter bounds the wait that a target can ask for, so that a mistake of the target
	// does not park events for days.
	maxRetryAfter = time.Hour
)

type response struct {
	status     int
	retryAfter time.Duration // 0: the target named none
	note       string
}

// readResponse reads a response. A body that breaks off, or is too long, is kept as far as it
// came: the status decides what becomes of the event. Behind 101 there is no body, but a
// connection whose reading would end with no context.
func readResponse(resp *http.Response) response {
	var body []byte
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	}
	note := resp.Proto + " " + resp.Status
	if len(body) > 0 {
		note += "\n" + string(body)
	}
	return response{status: resp.StatusCode, retryAfter: min(retryafter.Parse(resp.Header.Get("Retry-After"), time.Now()), maxRetryAfter), note: note}
}

// judge makes the verdict of an answer, and tells the breaker:
//
//	2xx                    done
//	410                    refused, and an alarm
//	Config.Refuse          refused
//	429, 5xx               again; the target fails. 429 and 503: after Retry-After
//	any other, 3xx too     again
func (f *Forwarder) judge(r response, p *pass) error {
	if r.status >= 200 && r.status < 300 {
		f.answered(p)
		f.over(bridge.AlarmTargetGone)
		return nil
	}
	err := fmt.Errorf("%s answered %d %s", f.target, r.status, http.StatusText(r.status))
	switch {
	case r.status == http.StatusGone:
		f.answered(p)
		f.alarm(bridge.AlarmTargetGone, "the target answers 410, that it is gone for good, so its events become dead letters: "+
			"give the consumer another url or remove it, then redrive them", err)
		return consumers.Refused(err)
	case f.refuse[r.status]:
		f.answered(p)
		return consumers.Refused(err)
	case r.status == http.StatusTooManyRequests || r.status >= 500:
		p.failed(err, r.retryAfter)
	default:
		f.answered(p)
	}
	if r.retryAfter > 0 && (r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable) {
		// Not all at once.
		return consumers.RetryAfter(err, r.retryAfter+rand.N(r.retryAfter/10+1))
	}
	return err
}

// answered notes that the target works, whatever it says of the event.
func (f *Forwarder) answered(p *pass) {
	p.succeeded()
	f.over(bridge.AlarmTargetDown, bridge.AlarmTargetBlocked)
}
