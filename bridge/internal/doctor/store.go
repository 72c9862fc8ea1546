package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sync is what a server tells of when it syncs what it has acknowledged.
type Sync struct {
	Always   bool
	Interval time.Duration
}

// Store is the NATS that keeps the events.
type Store struct {
	Embedded bool
	// Replicas of the stream of events, 0 while nobody tells; Servers is how many the cluster has, 0
	// for one alone.
	Replicas, Servers int
	// Sync is nil when the server does not tell.
	Sync *Sync
	// Quorum: an answer to a sender waits for NATS, and not for the journal.
	Quorum bool
}

const aloneRemedy = "run NATS as a cluster of three, with nats.replicas 3"

// Fsync judges whether what is acknowledged outlives a power failure.
func (r *Report) Fsync(s Store) {
	const remedy = "let the operator of NATS set sync_interval: always"
	switch {
	case s.Embedded:
		r.ok(CheckFsync, "", "the embedded NATS syncs each write before it acknowledges it")
	case s.Sync != nil && s.Sync.Always:
		r.ok(CheckFsync, "", "NATS syncs each write before it acknowledges it")
	case s.Replicas >= 3:
		how := "NATS does not say how often it syncs; without a setting that is every two minutes"
		if s.Sync != nil {
			how = fmt.Sprintf("NATS syncs every %v", s.Sync.Interval)
		}
		r.note(CheckFsync, "", remedy+", if its servers share their power", "%s: events of that time are lost only if most of %d servers lose power at once", how, s.Replicas)
	case s.Sync != nil:
		r.problem(CheckFsync, "", remedy, "NATS syncs only every %v and keeps events once: a power failure there loses what it has acknowledged since", s.Sync.Interval)
	default:
		r.warning(CheckFsync, "", remedy+", and let this account see $SYS.REQ.SERVER.PING.JSZ if that is to be checked",
			"NATS keeps events once, and does not say how often it syncs: without a setting that is every two minutes, and a power failure there loses what it has acknowledged since")
	}
}

// Replicas judges what is left when a server is lost.
func (r *Report) Replicas(s Store) {
	switch {
	case s.Embedded:
		r.note(CheckReplicas, "", "back up the data folder, or use an external NATS of three servers", "events are on one disk, that of the data folder: they are as safe as that disk")
	case s.Replicas >= 3:
		r.ok(CheckReplicas, "", "events are on %d of %d servers", s.Replicas, max(s.Servers, s.Replicas))
	case s.Servers >= 3 && s.Replicas == 0:
		r.Unknown(CheckReplicas, "NATS tells nothing of the stream of events now")
	case s.Servers >= 3:
		r.problem(CheckReplicas, "", "hookspan provision with nats.replicas 3", "the cluster has %d servers, and events are on %d: with one server they are gone, or stand still", s.Servers, s.Replicas)
	default:
		r.warning(CheckReplicas, "", aloneRemedy, "NATS is one server: with its disk the events are gone")
	}
}

// Stream is a stream as it is.
type Stream struct {
	Name string
	// Missing: it does not exist. Differences are from what it should be, in words.
	Missing     bool
	Differences []string
	// Lossy is why it loses acknowledged messages, or does not take some; "" when it does not.
	Lossy string
	// Lagging are the replicas that are offline or behind.
	Lagging []string
}

// Streams judges the streams.
func (r *Report) Streams(list []Stream) {
	well := 0
	for _, s := range list {
		const remedy = "hookspan provision makes it what it should be"
		switch {
		case s.Missing:
			r.problem(CheckStreams, s.Name, remedy, "the stream does not exist")
		case s.Lossy != "":
			r.problem(CheckStreams, s.Name, remedy, "%s", s.Lossy)
		case len(s.Differences) > 0:
			r.warning(CheckStreams, s.Name, remedy, "the stream is not what it should be: %s", strings.Join(s.Differences, "; "))
		case len(s.Lagging) > 0:
			r.warning(CheckStreams, s.Name, "start these servers, or see why they do not catch up; where one is lost, start an empty one with the same server_name", "replicas are away or behind: %s", strings.Join(s.Lagging, ", "))
		default:
			well++
		}
	}
	if well == len(list) && well > 0 {
		r.ok(CheckStreams, "", "%d streams are as they should be, and those that must not lose a message refuse new ones when they are full", well)
	}
}

// Window judges whether a repeated webhook is known again. Have is the window of the stream of
// events.
func (r *Report) Window(have time.Duration, sources []Source) {
	var needs []string
	for _, s := range sources {
		if need := s.MaxAge + s.RetrySpan; have < need {
			needs = append(needs, fmt.Sprintf("%s needs %v", s.Name, need))
		}
	}
	slices.Sort(needs)
	if len(needs) > 0 {
		r.problem(CheckWindow, "", "hookspan provision, or a smaller max_age of the source", "NATS knows the id of an event for %v, and a webhook may come again for longer, as a second event: %s", have, strings.Join(needs, ", "))
		return
	}
	r.ok(CheckWindow, "", "NATS knows the id of an event for %v, which is longer than any sender repeats it", have)
}

// Connection is how the bridge reaches an external NATS.
type Connection struct {
	Connected bool
	// Local: the server is on this machine. TLS: the connection is encrypted.
	Local, TLS bool
	// Why it is not connected, and Unfit why the server that is reached cannot serve.
	Why, Unfit string
}

// Connection judges it.
func (r *Report) Connection(c Connection) {
	switch {
	case !c.Connected:
		r.problem(CheckNATS, "", "start NATS, or repair nats.url and its credentials: webhooks wait in the journal meanwhile, if there is one", "there is no connection to NATS: %s", c.Why)
		return
	case c.Unfit != "":
		r.problem(CheckNATS, "", "webhooks wait in the journal meanwhile, if there is one", "%s", c.Unfit)
	case !c.Local && !c.TLS:
		r.warning(CheckNATSTLS, "", "give NATS a certificate and write tls:// in nats.url", "events and credentials travel to NATS in clear")
	default:
		r.ok(CheckNATSTLS, "", "nobody on the way can read what travels to NATS")
	}
}

// Rights judges which of the tried rights a bridge lacks in an external NATS.
func (r *Report) Rights(tried int, denied []string) {
	for _, subject := range denied {
		r.problem(CheckRights, subject, "let the operator of NATS grant it to the user of the bridge", "the bridge may not do that in NATS")
	}
	if len(denied) == 0 {
		r.ok(CheckRights, "", "all %d rights that the roles of this process need are there", tried)
	}
}
