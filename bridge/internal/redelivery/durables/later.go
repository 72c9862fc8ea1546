package durables

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/streamread"
)

// laterTimeout bounds one count, as nats.go does for calls of JetStream.
const laterTimeout = 5 * time.Second

// later returns how many events of a consumer wait for a distant attempt. Each has its own
// subject, so counting by subject would list every event. The first answer of a direct read of
// several messages says how many follow (ADR-31 of NATS, nats-server 2.11).
func (d *Durables) later(ctx context.Context, consumer string) (uint64, error) {
	request, err := json.Marshal(struct {
		Seq   uint64 `json:"seq"`
		Batch int    `json:"batch"`
		Next  string `json:"next_by_subj"`
	}{1, 1, d.names.LaterOf(consumer)})
	if err != nil {
		return 0, fmt.Errorf("counting events that wait: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, laterTimeout) // NATS requests have no default timeout
	defer cancel()
	first, err := streamread.Direct(ctx, d.js, d.names.LaterStream(), request)
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrMsgNotFound): // a server without message schedules, or none waits
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("counting events that wait: %w", err)
	}
	follow, err := strconv.ParseUint(streamread.Told(first, "Nats-Num-Pending"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("counting events that wait: the server does not say how many follow: %w", err)
	}
	return follow + 1, nil
}
