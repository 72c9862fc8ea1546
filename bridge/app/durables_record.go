package app

import (
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
)

// openRecord opens the folder's record of consumers and adds those of the configuration. Without
// a folder nothing is recorded.
func openRecord(e *env) (*durables.Record, error) {
	var memory durables.Memory
	if e.folder != nil && !e.moving {
		memory = e.folder.Memory(recordFile)
	}
	record, err := durables.OpenRecord(memory, placeOf(e.cfg))
	if err != nil {
		e.log.Named("durables").Error("what was remembered of the consumers is lost: start: new means from now on, and a durable whose state is lost may give more events again", zap.Error(err))
	}
	// Events of a consumer whose durable was never made can only lie in a journal.
	waits := e.folder != nil && e.cfg.NATS.External() && e.cfg.NATS.Provision == config.ProvisionCreate && (e.folder.Has(datafolder.JournalPart) || e.folder.Has(datafolder.SpoolPart))
	return record, record.Serve(servedOf(e.cfg), waits)
}

const recordFile = "consumers.json"

func placeOf(c *config.Config) durables.Place {
	at := durables.Place{Store: durables.Embedded, Prefix: c.NATS.Prefix}
	if c.NATS.External() {
		at.Store = c.NATS.Place() // holds no credentials, as was checked
	}
	return at
}

// servedOf returns the consumers whose durables this process makes. A process that does not
// run the implied archive leaves it to those that do: an archive begins with the oldest
// event, whenever its durable is made.
func servedOf(c *config.Config) map[string]durables.Served {
	out := map[string]durables.Served{}
	for name, cons := range c.Consumers {
		if base := cons.Base(); !base.Implied || c.Runs(name) {
			out[name] = durables.Served{Kind: base.Kind, Filter: base.Filter.Filter()}
		}
	}
	return out
}
