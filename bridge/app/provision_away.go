package app

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// replicasAway returns an alarm for each NATS server whose replicas of streams are away or behind
// now and were so at the look before: a replica that is behind for a moment needs nobody. An
// embedded server has no others.
func (p *provisioner) replicasAway(ctx context.Context) (alarms []bridge.Alarm) {
	if p.embedded != nil {
		return nil
	}
	inspected, err := stream.Inspect(ctx, p.publish, p.streams)
	if err != nil {
		return nil // others tell of a NATS that does not answer
	}
	away := map[string]int{} // streams by server
	for _, one := range inspected {
		for _, server := range one.Away() {
			away[server]++
		}
	}
	for _, server := range slices.Sorted(maps.Keys(away)) {
		if p.away[server] == 0 {
			continue
		}
		alarms = append(alarms, bridge.Alarm{
			Kind: bridge.AlarmReplicasAway, Subject: server, Over: "the NATS server " + server + " has its replicas again, or is no longer asked for them",
			Text: fmt.Sprintf("the NATS server %s is away or behind with its replicas of %d streams: nothing is lost yet, and when one more server of three fails "+
				"events wait in the journal: start it, or where it is lost start an empty one with the same server_name in its place", server, away[server]),
		})
	}
	p.away = away
	return alarms
}
