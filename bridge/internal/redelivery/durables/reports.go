package durables

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

// maxReports is how many reports of one consumer are read: one for each process that
// does not succeed.
const maxReports = 64

// reports returns what the processes of each consumer report. There is none of a
// consumer that does well.
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
		if errors.Is(err, jetstream.ErrMsgNotFound) { // it has gone meanwhile
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

// unread says whether events wait, no program asks for them, and for a lease none was
// delivered. A sign of life that renews a lease counts as a delivery, so a program that
// is busy is there.
func unread(info *jetstream.ConsumerInfo) bool {
	if info.NumPending == 0 && info.NumAckPending == 0 || info.NumWaiting > 0 || info.PushBound {
		return false
	}
	last := info.Delivered.Last
	return last == nil || info.TimeStamp.Sub(*last) > info.Config.AckWait
}
