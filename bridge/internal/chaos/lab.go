package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// options are what every fault has in common.
type options struct {
	// binary is the program under test, self this one.
	binary, self string
	// events is how many webhooks must be acknowledged under each fault.
	events int
	// faster is by how much the sender's time passes faster than the provider's.
	faster int
	// conns and rate bound the load: requests at a time, new webhooks a second.
	conns, rate int
	// parallel is how many faults are tried at a time.
	parallel int
	keep     bool
}

// patience bounds the wait for what comes by itself, such as the drain of a spool.
const patience = time.Minute

// lab is where one fault happens: a folder, the processes in it, the sender and
// the oracle. Its methods are for one goroutine.
type lab struct {
	options
	dir    string
	port   int // of the webhooks, the same after every restart
	writer *writer
	book   *book
	report *report
	// damage: the fault destroys what nobody can heal.
	damage bool

	sender  *sender
	sending chan struct{} // closed when the sender has ended
	healed  time.Time
	// examples name some of what the audit found.
	examples []string
	closers  []func() error
}

func newLab(name string, o options) (*lab, error) {
	dir, err := os.MkdirTemp("", "hookspan-chaos-"+name+"-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	l := &lab{options: o, dir: dir, book: newBook(), report: &report{Fault: name}}
	if l.port, err = freePort(); err != nil {
		return l, err
	}
	const cdn = "https://cdn.get3w.com/outputs/"
	l.writer, err = newWriter(fmt.Sprintf("%08x", rand.Uint32()), "127.0.0.1", cdn, time.Now())
	return l, err
}

// freePort returns a port below those that the kernel gives to connections: a
// client that tries such a port while nobody listens could connect to itself.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, errors.New("no port is free between 20000 and 32000")
}

// path is a file or folder of this lab.
func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) onClose(f func() error) { l.closers = append(l.closers, f) }

// close ends everything in the reverse order of its beginning. What may tell why a
// bar was missed stays, unless somebody has interrupted the fault.
func (l *lab) close(interrupted bool) error {
	var errs []error
	for _, f := range slices.Backward(l.closers) {
		errs = append(errs, f())
	}
	if len(l.report.Wrong) > 0 && !interrupted || l.keep {
		l.note("everything is in %s", l.dir)
	} else {
		errs = append(errs, os.RemoveAll(l.dir))
	}
	return errors.Join(errs...)
}

func (l *lab) note(format string, args ...any) {
	l.report.Notes = append(l.report.Notes, fmt.Sprintf(format, args...))
}

// wrong is a bar of this fault alone that was missed.
func (l *lab) wrong(format string, args ...any) {
	l.report.Wrong = append(l.report.Wrong, fmt.Sprintf(format, args...))
}

// send begins to send to the port of the webhooks.
func (l *lab) send(ctx context.Context) { l.sendTo(ctx, fmt.Sprintf("127.0.0.1:%d", l.port)) }

func (l *lab) sendTo(ctx context.Context, addr string) {
	ctx, cancel := context.WithCancel(ctx)
	l.sender = newSender(addr, newSchedule(l.faster), l.conns, l.rate, l.writer, l.book)
	l.sending = make(chan struct{})
	go func() {
		defer close(l.sending)
		l.sender.run(ctx)
	}()
	l.onClose(func() error { cancel(); <-l.sending; return nil })
}

// reach waits until this part of the events is acknowledged.
func (l *lab) reach(ctx context.Context, part float64) error {
	return l.book.waitAcknowledged(ctx, int(part*float64(l.events)))
}

// heal says that the fault is over.
func (l *lab) heal() {
	l.healed = time.Now()
	l.book.heal()
}

// outage lasts a little longer than the sender's whole schedule, each attempt of
// which ends in that time, so that a webhook of its beginning is tried for the last
// time before it ends.
func (l *lab) outage(ctx context.Context, attempt time.Duration) error {
	schedule := newSchedule(l.faster).span(attempt)
	l.note("for %v, the sender's whole schedule takes %v", schedule*11/10, schedule)
	return pause(ctx, schedule*11/10)
}

// settle waits until a 200 has come after the fault and all events are
// acknowledged, and until the sender has nothing left to try.
func (l *lab) settle(ctx context.Context) error {
	err := l.book.waitRecovered(ctx)
	if err == nil {
		err = l.reach(ctx, 1)
	}
	l.sender.finish()
	select {
	case <-l.sending:
	case <-ctx.Done():
		return cmp.Or(err, context.Cause(ctx))
	}
	return err
}

// audit reads the stream once everything that was acknowledged may be there, and
// writes down what it holds. What lies in a spool has time as long as some of it
// goes on arriving.
func (l *lab) audit(ctx context.Context, nc *nats.Conn) error {
	defer nc.Close()
	for want := uint64(l.book.snapshot().acknowledged); ; {
		count, err := l.waitForCount(ctx, nc, want)
		if err != nil {
			return err
		}
		a := newAudit(l.writer, l.book)
		if err := readEvents(ctx, nc, a.add); err != nil && (!l.damage || !errors.Is(err, errUnreadable)) {
			return err
		}
		found := a.result()
		if found.lost == 0 || count < want {
			l.finding(found)
			return nil
		}
		// Some that are there were never acknowledged.
		want = count + uint64(found.lost)
	}
}

// waitForCount waits until that many messages are in the stream, or until no more
// arrive, and returns how many there are.
func (l *lab) waitForCount(ctx context.Context, nc *nats.Conn, want uint64) (uint64, error) {
	most, grown := uint64(0), time.Now()
	for {
		info, err := streamState(ctx, nc)
		if err != nil {
			return 0, err
		}
		count := info.State.Msgs
		if count > most {
			most, grown = count, time.Now()
		}
		if count >= want || time.Since(grown) > l.standstill() {
			return count, nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// standstill is how long nothing may arrive before nothing more is expected. With
// no spool nothing comes later at all.
func (l *lab) standstill() time.Duration {
	if l.book.snapshot().results[resultSpooled] == 0 {
		return 0
	}
	return patience
}

// finding writes down what the stream holds.
func (l *lab) finding(found findings) {
	r := l.report
	r.Stored, r.Lost, r.Twice, r.Corrupt = found.stored, found.lost, found.twice, found.corrupt
	if found.lost == 0 && !l.healed.IsZero() {
		r.Whole = time.Since(l.healed).Seconds()
	}
	l.examples = found.examples
}

// rest ends the load for now: everything that was begun is acknowledged or
// abandoned when it returns.
func (l *lab) rest(ctx context.Context) error {
	l.sender.finish()
	select {
	case <-l.sending:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
