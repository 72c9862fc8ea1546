package durables

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

// maxReports bounds the reports read of one consumer; each process that does not succeed writes
// one.
const maxReports = 64

// reports returns the reports of the processes by consumer. A healthy consumer has none.
func (d *Durables) reports(ctx context.Context) (map[string][]consumerstate.Report, error) {
	stream, subjects, err := d.subjects(ctx, d.names.AttemptsStream(), d.names.AllReports())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := map[string][]consumerstate.Report{}
	for subject := range subjects {
		consumer := d.names.ReportConsumer(subject)
		if consumer == "" || len(out[consumer]) >= maxReports {
			continue
		}
		m, err := stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) { // gone since the list
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading how consumer %s does: %w", consumer, err)
		}
		if report, ok := consumerstate.Decode(bridge.Header(m.Header), m.Data); ok {
			out[consumer] = append(out[consumer], report)
		}
	}
	return out, nil
}

// unread reports whether events wait, no program fetches, and none was delivered for a lease.
// Renewing a lease counts as a delivery, so a busy program is not unread.
func unread(info *jetstream.ConsumerInfo) bool {
	if info.NumPending == 0 && info.NumAckPending == 0 || info.NumWaiting > 0 || info.PushBound {
		return false
	}
	last := info.Delivered.Last
	return last == nil || info.TimeStamp.Sub(*last) > info.Config.AckWait
}
