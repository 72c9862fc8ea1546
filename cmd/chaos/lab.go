package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/sending"
)

type options struct {
	binary string // the program under test
	before string // one of an earlier commit, or empty
	events int    // how many webhooks must be acknowledged under each fault
	faster int    // by how much the sender's time passes faster than the provider's
	// conns and rate bound the load: requests at a time, new webhooks a second.
	conns, rate int
	keep        bool
	server      string        // a nats-server program, or empty for the built-in one
	away        time.Duration // how long the quorum is away when roles are apart
}

const (
	// patience bounds the wait for what comes by itself, such as the drain of a journal.
	patience = time.Minute
	often    = 100 * time.Millisecond
)

// lab is where one fault happens: a rig with a bridge, the sender and the oracle.
type lab struct {
	*rig.Rig
	options
	report *report
	writer *writer
	book   *book
	// damage: the fault destroys what nobody can heal.
	damage bool

	// bridge is the one under test, which config starts again; the port of its webhooks is
	// always the same. nats is where its events go, empty for its own NATS.
	bridge *rig.Bridge
	config rig.BridgeConfig
	nats   string

	sender *sender
	// schedule of the sender; the zero value is for the provider's.
	schedule sending.Schedule
	healed   time.Time
	// examples name some of what the audit found.
	examples []string
}

// try runs one fault, unless this machine cannot have it, and judges it. What keeps it
// from running to its end is a missed bar too.
func (f *fault) try(ctx context.Context, o options) *report {
	r := &report{Fault: f.name, Skipped: f.missing()}
	if r.Skipped != "" || ctx.Err() != nil {
		return r
	}
	begun := time.Now()
	world, err := rig.New(ctx, "chaos-"+f.name, o.binary)
	if err != nil {
		r.Wrong = append(r.Wrong, err.Error())
		return r
	}
	world.NATSBinary = o.server
	l := &lab{Rig: world, options: o, report: r, book: newBook(), damage: f.damage, writer: newWriter()}
	l.config = rig.BridgeConfig{Data: l.Path("data"), NATS: rig.EmbeddedNATS(rig.MaxEvents), Log: "warn", More: noArchive}
	if err := rig.Try(func() { l.config.Port = rig.FreePort(); f.run(l) }); err != nil {
		l.wrong("%v", err)
	}
	if l.sender != nil { // otherwise the simulator sent
		l.sender.stop()
		l.sender.rest()
		r.counts, r.Recover = l.book.snapshot(), l.book.recovery.Seconds()
	}
	for _, n := range r.RefusedBy {
		r.Refused += n
	}
	r.Wrong = append(r.Wrong, l.book.strange...)
	r.judge(o.events, f.damage, l.examples)
	// What may tell why a bar was missed stays, unless somebody has interrupted the fault.
	keep := len(r.Wrong) > 0 && ctx.Err() == nil || o.keep
	if keep {
		l.note("everything is in %s", l.Dir)
	}
	if err := l.Close(keep); err != nil {
		l.wrong("cleaning up: %v", err)
	}
	r.Took = time.Since(begun).Seconds()
	return r
}

func (l *lab) note(format string, args ...any) {
	l.report.Notes = append(l.report.Notes, fmt.Sprintf(format, args...))
}

// wrong is a bar of this fault alone that was missed.
func (l *lab) wrong(format string, args ...any) {
	l.report.Wrong = append(l.report.Wrong, fmt.Sprintf(format, args...))
}

const noArchive = "consumers: {archive: {enabled: false}}"

func (l *lab) start() { l.bridge = l.StartBridge(l.config) }

func (l *lab) begin() {
	l.start()
	l.send()
}

// external has the bridge publish to url. The events are read at home, from the same servers.
func (l *lab) external(url, home string) { l.config.NATS, l.nats = rig.ExternalNATS(url), home }

func (l *lab) natsStore() string { return filepath.Join(l.config.Data, "nats") }

func (l *lab) connect() *nats.Conn {
	if l.nats == "" {
		return l.bridge.Connect()
	}
	return l.Connect(l.nats)
}

// info is what the server says of the stream of events, once it is there.
func (l *lab) info() *jetstream.StreamInfo {
	nc := l.connect()
	defer nc.Close()
	return rig.StreamInfo(l.Context(), rig.Must(jetstream.New(nc)))
}

func (l *lab) addr() string { return fmt.Sprintf("127.0.0.1:%d", l.config.Port) }

func (l *lab) send() {
	if l.schedule.Timeout == 0 {
		l.schedule = sending.NewSchedule(float64(l.faster))
	}
	s := &sender{schedule: l.schedule, rate: l.rate, writer: l.writer, book: l.book}
	s.start(l.Context(), l.addr(), l.conns)
	l.OnClose(func() error { s.stop(); s.rest(); return nil })
	l.sender = s
}

// reach waits until this part of the events is acknowledged.
func (l *lab) reach(part float64) { l.acknowledged(int(part * float64(l.events))) }

func (l *lab) acknowledged(n int) {
	l.wait(fmt.Sprintf("%d webhooks are acknowledged", n), func(c counts) bool { return c.Acknowledged >= n })
}

// maxSilence is how long a fault may go on while nothing is acknowledged.
const maxSilence = time.Minute

func (l *lab) wait(what string, done func(c counts) bool) {
	for most, last := -1, time.Now(); ; rig.Check(rig.Pause(l.Context(), 5*time.Millisecond)) {
		c := l.book.snapshot()
		if done(c) {
			return
		}
		if c.Acknowledged > most {
			most, last = c.Acknowledged, time.Now()
		}
		if time.Since(last) > maxSilence {
			rig.Check(fmt.Errorf("waiting until %s: nothing was acknowledged for %v, %d were before", what, maxSilence, most))
		}
	}
}

// each calls f n times, spread evenly over the events behind this part of them.
func (l *lab) each(n int, from float64, f func(i int)) {
	for i := range n {
		l.reach(from + (1-from)*float64(i+1)/float64(n+1))
		f(i)
	}
}

func (l *lab) heal() {
	l.healed = time.Now()
	l.book.heal()
}

// recovered waits until a 200 has come to a request of after the fault.
func (l *lab) recovered() {
	l.wait("the bridge has recovered", func(counts) bool { return l.book.healthy() })
}

// outage lasts a little longer than the sender's whole schedule, each attempt of
// which ends in that time, so that a webhook of its beginning is tried for the last
// time before it ends.
func (l *lab) outage(attempt time.Duration) {
	schedule := sending.NewSchedule(float64(l.faster)).Span(attempt)
	l.note("for %v, the sender's whole schedule takes %v", schedule*11/10, schedule)
	l.Pause(schedule * 11 / 10)
}

// uptime is how long the bridge runs at least between two faults. A webhook that
// came just as it died is tried again within this time, so that the sender abandons
// none unless a restart takes longer than all its gaps.
func (l *lab) uptime() time.Duration { return sending.NewSchedule(float64(l.faster)).Span(0) }

// settle waits until the bridge has recovered, all is acknowledged and the sender rests.
func (l *lab) settle() {
	err := rig.Try(func() { l.recovered(); l.reach(1) })
	l.sender.rest()
	rig.Check(err)
}

// end settles, reads the stream once everything that was acknowledged may be there, and
// writes down what it holds. What lies in a journal has time as long as some of it goes on
// arriving.
func (l *lab) end() {
	l.settle()
	nc := l.connect()
	js := rig.Must(jetstream.New(nc))
	for want := uint64(l.book.snapshot().Acknowledged); ; {
		count := l.waitForCount(js, want)
		a := newAudit(l.writer, l.book)
		if err := rig.ReadEvents(l.Context(), nc, "", a.add); !l.damage || !errors.Is(err, rig.ErrUnreadable) {
			rig.Check(err)
		}
		found := a.result()
		if found.Lost == 0 || count < want {
			l.finding(found)
			return
		}
		// Some that are there were never acknowledged.
		want = count + uint64(found.Lost)
	}
}

// waitForCount waits until that many messages are in the stream, or until no more arrive,
// and returns how many there are. After damage nothing comes once the journal is empty. In a
// cluster a replica that is read may still lack what the stream has.
func (l *lab) waitForCount(js jetstream.JetStream, want uint64) uint64 {
	for most, grown := uint64(0), time.Now(); ; l.Pause(often) {
		standstill := patience
		if l.damage && l.waiting() == 0 {
			standstill = 0
		}
		count := rig.StreamInfo(l.Context(), js).State.Msgs
		if count > most {
			most, grown = count, time.Now()
		}
		if count >= want || time.Since(grown) > standstill {
			return count
		}
	}
}

// waiting is how many records are in the bridge's journal.
func (l *lab) waiting() int { return int(l.bridge.Metric("hookspan_journal_records")) }

func (l *lab) finding(found findings) {
	l.report.findings, l.examples = found, found.examples
	if found.Lost == 0 && !l.healed.IsZero() {
		l.report.Whole = time.Since(l.healed).Seconds()
	}
}
