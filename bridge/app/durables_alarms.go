package app

import (
	"context"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/internal/durable"
)

// tellNarrowed raises an alarm for events that a consumer does not get after a change of its
// filter, where NATS cannot count them.
func (d *durableSet) tellNarrowed(name string, served durables.Served, change durable.Change) {
	const replay = "hookspan events replay --consumer %s gives it those that it should have all the same"
	if d.journal != nil {
		if waiting := d.journal.State().Records; waiting > 0 {
			d.raise(bridge.AlarmConsumerNarrowed, name, fmt.Sprintf("its filter has changed, and of the %d events that wait in the journal for NATS "+
				"those that it does not pick any more are not given to it: "+replay, waiting, name))
		}
	}
	if _, rest := served.Filter.Subjects(d.cfg.Names()); rest && d.record.Waiting(name) > change.Skipped {
		d.raise(bridge.AlarmConsumerNarrowed, name, fmt.Sprintf("its filter.model has changed, and of the %d events that were waiting for it "+
			"those of other models are passed over: "+replay, d.record.Waiting(name), name))
	}
}

// tell logs a change of a durable. It raises an alarm where somebody else changed the durable,
// or where events are skipped or come again.
func (d *durableSet) tell(name string, change durable.Change) {
	known := d.settled[name]
	d.settled[name] = true
	differences := strings.Join(change.Differences, "; ")
	switch {
	case change.Created && known:
		d.raise(bridge.AlarmConsumerRemoved, name, "somebody removed the durable; it was made again, and events that it had delivered may come again")
	case change.Created:
		d.log.Info("created the durable", zap.String("consumer", name))
	case change.Remade:
		d.raise(bridge.AlarmConsumerChanged, name, "the durable was not what the configuration says and was made anew; events that it had delivered may come again: "+differences)
	case known && differences != "":
		d.raise(bridge.AlarmConsumerChanged, name, "somebody changed the durable, it was changed back: "+differences)
	case differences != "":
		d.log.Warn("changed the durable", zap.String("consumer", name), zap.Strings("changes", change.Differences))
	}
	if change.Skipped > 0 {
		d.raise(bridge.AlarmConsumerNarrowed, name, fmt.Sprintf("its filter does not pick %d of the events that were waiting for it any more, and they are not given to it: "+
			"hookspan events replay --consumer %s gives it those that it should have all the same", change.Skipped, name))
	}
}

// nameOrphans logs once which durables belong to no configured consumer.
func (d *durableSet) nameOrphans(ctx context.Context) {
	if d.named {
		return
	}
	states, err := d.durables().List(ctx)
	if err != nil {
		d.log.Warn("cannot look for consumers that the configuration does not name any more, trying again", zap.Error(err))
		return
	}
	d.named = true
	for _, s := range states {
		if s.Orphaned {
			d.log.Warn(durables.Orphan(s), zap.String("consumer", s.Name), zap.Uint64("waiting", s.Outstanding()))
		}
	}
}

func (d *durableSet) raise(kind, name, text string) {
	d.alarms.Raise(bridge.Alarm{Kind: kind, Subject: name, Text: "consumer " + name + ": " + text})
}

// lasts notes an alarm of what lasts, for the end of this look.
func (d *durableSet) lasts(kind, name, text string) {
	d.wrong = append(d.wrong, bridge.Alarm{
		Kind: kind, Subject: name, Text: "consumer " + name + ": " + text,
		Over: "consumer " + name + ": its durable is what the configuration says",
	})
}
