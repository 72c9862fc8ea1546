package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

const (
	// scrubSeconds is how long one scrub is to take. Its pace is that of a day for a
	// stream that is full, so the limit is made for it.
	scrubSeconds  = 10
	secondsOfDay  = 24 * 60 * 60
	leastScrub    = 128 << 10        // the pace that a scrub has at least, in bytes a second
	startAndScrub = 90 * time.Second // a patience for a start and one scrub, on a busy machine
	// severalBlocks is how many events take so many blocks that the one which is
	// damaged under a running bridge is neither the newest nor the first that the
	// scrub reads: the server has those in memory, where they are whole.
	severalBlocks, severalRate = 20_000, 3000
)

func bitFlip(l *lab) {
	l.events, l.rate = max(l.events, severalBlocks), max(l.rate, severalRate)
	d := fillAndStop(l)
	// While the bridge is away, and then under one that runs, behind its scrub.
	d.damage(0.25, flip)
	l.start()
	d.waitNamed("a byte that changed while the bridge was away")
	scrubbed := fmt.Sprintf("hookspan_scrub_pass_end_seconds{stream=%q}", rig.EventsStream)
	rig.Check(l.Until("the end of a scrub", startAndScrub, often, func(context.Context) bool { return l.bridge.Metric(scrubbed) > 0 }))
	rig.Must(l.bridge.Stop())
	l.start()
	d.damage(0.75, flip)
	d.waitNamed("a byte that changed under the running bridge")
	d.goOn()
}

func truncation(l *lab) {
	d := fillAndStop(l)
	d.damage(0.5, cutOff)
	l.start()
	d.waitNamed("a store of which a file was cut off in the middle")
	d.goOn()
}

type damaged struct {
	*lab
	seen   int64 // length of the log when it was damaged
	victim uint64
}

// fillAndStop stores most events and ends the bridge, whose next scrub is done soon.
func fillAndStop(l *lab) *damaged {
	l.begin()
	l.reach(0.9)
	l.sender.rest()
	pace := max(leastScrub, int64(l.info().State.Bytes)/scrubSeconds)
	l.config.NATS = rig.EmbeddedNATS(pace * secondsOfDay)
	rig.Must(l.bridge.Stop())
	return &damaged{lab: l}
}

// waitNamed waits until an alarm names the message that was damaged.
func (d *damaged) waitNamed(what string) {
	begun := time.Now()
	var found []alarm
	err := d.Until("an alarm names it", startAndScrub, 50*time.Millisecond, func(context.Context) bool {
		found = alarms(d.bridge.Log, d.seen)
		for _, a := range found {
			if a.names(d.victim) {
				d.note("%s: named as %s after %v", what, a.Alarm, time.Since(begun).Round(10*time.Millisecond))
				return true
			}
		}
		if !d.bridge.Alive() {
			rig.Check(d.bridge.Explain(errors.New("the bridge has ended")))
		}
		return false
	})
	if err != nil {
		d.wrong("%s, in message %d: not named within %v, alarms are %v", what, d.victim, startAndScrub, found)
	}
}

func (d *damaged) goOn() {
	d.heal()
	d.send()
	d.end()
	d.note("%d of %d events cannot be read any more", d.report.Lost, d.book.snapshot().Acknowledged)
}

// damage changes a file in this part of the store, at the message that it finds there.
func (d *damaged) damage(part float64, change func(f *os.File, r rig.Record) error) {
	d.seen = rig.Must(os.Stat(d.bridge.Log)).Size()
	_, files := rig.Blocks(d.natsStore())
	at := part * float64(len(files))
	text := rig.Must(os.ReadFile(files[int(at)]))
	messages, err := rig.Records(text)
	f := rig.Must(os.OpenFile(files[int(at)], os.O_RDWR, 0))
	defer func() { _ = f.Close() }() // what was written is in it
	for _, r := range messages {
		if float64(r.Offset+len(r.Bytes)) > (at-float64(int(at)))*float64(len(text)) {
			d.victim = r.Sequence()
			rig.Check(change(f, r))
			return
		}
	}
	rig.Check(fmt.Errorf("damaging the store: there is no message at this place of the block: %w", err))
}

func flip(f *os.File, r rig.Record) error {
	middle := len(r.Bytes) / 2
	_, err := f.WriteAt([]byte{^r.Bytes[middle]}, int64(r.Offset+middle))
	return err
}

func cutOff(f *os.File, r rig.Record) error { return f.Truncate(int64(r.Offset + len(r.Bytes)/2)) }

// alarm is a line of the bridge's log by which it tells a person of something.
type alarm struct {
	Alarm   string `json:"alarm"`
	Details struct {
		From uint64 `json:"from"`
		To   uint64 `json:"to"`
		// First and Last are of a journal. Last and LastBefore are of a stream that has lost
		// its end.
		First      uint64 `json:"first"`
		Last       uint64 `json:"last"`
		LastBefore uint64 `json:"last_before"`
	} `json:"details"`
}

// names reports whether the message or record lies in the range of the alarm, or in the end that is lost.
func (a alarm) names(sequence uint64) bool {
	switch a.Alarm {
	case "store_backwards":
		return a.Details.Last < sequence && sequence <= a.Details.LastBefore
	case "journal_damaged":
		return a.Details.First <= sequence && sequence <= a.Details.Last
	case "store_missing", "store_corrupt":
		return a.Details.From <= sequence && sequence <= a.Details.To
	}
	return false
}

// alarms are those in a log from an offset in bytes on.
func alarms(log string, from int64) (found []alarm) {
	text := rig.Must(os.ReadFile(log))
	for line := range bytes.Lines(text[min(from, int64(len(text))):]) {
		var a alarm
		if json.Unmarshal(line, &a) == nil && a.Alarm != "" { // other lines are of no concern
			found = append(found, a)
		}
	}
	return found
}
