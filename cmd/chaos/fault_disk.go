package main

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// fsyncDelay is what an ordinary cloud disk takes for an fsync.
const fsyncDelay = 2 * time.Millisecond

func slowDisk(l *lab) {
	l.config.Slow = fsyncDelay
	l.start()
	begun := time.Now()
	l.send()
	l.reach(1)
	l.note("%.0f webhooks a second were acknowledged", float64(l.book.snapshot().Acknowledged)/time.Since(begun).Seconds())
	l.end()
}

// newDisk has the bridge's data on a disk with room for all events of a fault.
func (l *lab) newDisk() *rig.Disk {
	d := l.NewDisk("disk", 512<<20+int64(l.events)*24<<10)
	l.config.Data = d.Mount
	return d
}

func hungDisk(l *lab) {
	d := l.newDisk()
	l.begin()
	// Shorter than the deadline of an answer, and longer.
	hangs := []time.Duration{3 * time.Second, time.Second, 7 * time.Second}
	l.each(len(hangs), 0, func(i int) {
		d.Hang(func() { l.Pause(hangs[i]) })
		l.heal()
		l.recovered()
	})
	l.note("it hung for %v", hangs)
	// What was not synced when the bridge is killed is not there.
	d.Hang(func() {
		l.Pause(time.Second)
		rig.Check(l.bridge.Signal(syscall.SIGKILL))
	})
	l.heal()
	l.bridge.Kill()
	l.note("and for 1s, at the end of which the bridge was killed")
	l.start()
	l.end()
}

// hungJournal: with ack quorum an answer needs no disk of this machine.
func hungJournal(l *lab) {
	n, d := l.StartNATS(rig.NATSConfig{}), l.newDisk()
	l.external(n.URL, n.URL)
	l.begin()
	hangs := []time.Duration{3 * time.Second, 7 * time.Second}
	l.each(len(hangs), 0, func(i int) {
		d.Hang(func() { l.Pause(hangs[i]) })
		l.heal()
		l.recovered()
	})
	if refused := l.book.snapshot().RefusedBy; len(refused) > 0 {
		l.wrong("webhooks were refused for a disk that hung while NATS took them: %v", refused)
	}
	l.note("it hung for %v", hangs)
	l.end()
}

const (
	// bridgePace suits faults whose end the bridge sees after seconds that are not scaled.
	bridgePace = 4
	fullFor    = 3 * time.Second // how long a disk is full, once that was noticed
)

func fullDisk(l *lab) {
	l.faster = min(l.faster, bridgePace)
	d := l.newDisk()
	l.begin()
	const times = 2
	l.each(times, 0, func(int) {
		before := l.book.snapshot().RefusedBy["503"]
		empty := d.Fill()
		l.wait("a webhook is refused", func(c counts) bool { return c.RefusedBy["503"] > before })
		l.Pause(fullFor)
		empty()
		l.heal()
		l.recovered()
	})
	l.sameProcess()
	l.note("full %d times for %v; the process is the same", times, fullFor)
	l.end()
}

const (
	archiveBytes = 512 << 20
	outputBytes  = 8 << 10
)

func fullArchive(l *lab) {
	l.writer.outputs = l.Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(make([]byte, outputBytes))
	})) + "/"
	d := l.NewDisk("archive", archiveBytes)
	empty := d.Fill()
	l.config.Log = "error"
	l.config.More = fmt.Sprintf(`consumers: {archive: {kind: archive, store: "file://%s", hosts: ["127.0.0.1"], allow_private: true}}`, d.Mount)
	l.begin()
	l.reach(1)
	l.Pause(l.uptime())
	if n := manifests(d.Mount); n > 0 {
		l.wrong("%d predictions are in an archive that had no room", n)
	}
	if refused := l.book.snapshot().RefusedBy; len(refused) > 0 {
		l.wrong("webhooks were refused for an archive that is full: %v", refused)
	}
	l.heal()
	empty()
	l.end()
	if l.Until("the archive goes on", patience, often, func(context.Context) bool { return manifests(d.Mount) > 0 }) != nil {
		l.wrong("nothing is archived %v after there was room again", patience)
		return
	}
	l.note("the archive went on %v after there was room again", time.Since(l.healed).Round(often))
}

func manifests(folder string) (n int) {
	_ = filepath.WalkDir(folder, func(path string, _ fs.DirEntry, _ error) error {
		if filepath.Base(path) == "manifest.json" {
			n++
		}
		return nil
	})
	return n
}

// cutPace suits power cuts: to copy a disk takes as long as a machine takes to start.
const cutPace = 12

// journalFiles are files of which an unsynced part may be on the disk: below that of the data.
const journalFiles = "journal/*/*.wal"

// cuts is how often the power fails in a fault.
func (l *lab) cuts() int { return min(max(l.events/8000, 3), 12) }

func powerCut(l *lab) {
	l.faster = min(l.faster, cutPace)
	d := l.newDisk()
	l.begin()
	l.crash(l.cuts(), func() { d.CutPower(l.bridge.Process, journalFiles) })
	l.note("cut %d times; the time to a 200 is the longest, with the copy of the disk and the start", l.cuts())
	l.end()
}

func powerCutJournal(l *lab) {
	l.faster = min(l.faster, cutPace)
	n, d := l.StartNATS(rig.NATSConfig{}), l.newDisk()
	l.external(n.URL, n.URL)
	l.begin()
	l.reach(0.2)
	n.Kill()
	l.each(l.cuts(), 0.2, func(int) {
		l.Pause(l.uptime())
		d.CutPower(l.bridge.Process, journalFiles)
		l.start()
	})
	l.Pause(l.uptime())
	l.reach(0.9)
	l.heal()
	n.Start()
	l.note("cut %d times while NATS was away, which came back last; of what was not synced a part was on the disk", l.cuts())
	l.end()
}

// journalNoRoom fills the disk of the journal while NATS is away: what is reserved for a
// segment still takes records, and the next one finds no room.
func journalNoRoom(l *lab) {
	l.faster, l.rate = min(l.faster, bridgePace), max(l.rate, severalRate)
	n, d := l.StartNATS(rig.NATSConfig{}), l.newDisk()
	l.external(n.URL, n.URL)
	l.begin()
	l.reach(0.2)
	n.Kill()
	const times = 2
	l.each(times, 0.2, func(int) {
		before := l.book.snapshot().RefusedBy["503"]
		empty := d.Fill()
		l.wait("a webhook is refused", func(c counts) bool { return c.RefusedBy["503"] > before })
		empty()
		l.heal()
		l.recovered()
	})
	l.sameProcess()
	l.alarmed("journal_failed")
	n.Start()
	l.note("%d times a segment had no room while NATS was away; the process is the same", times)
	l.end()
}

// syncErrors has the disk say that it could not sync, once and for a while, with NATS there,
// when events go to their stream at once, and without it. Then it also loses what it could not
// sync, so that nothing may be written behind that. At last the power fails, so that whatever
// was called kept without its sync is gone.
func syncErrors(l *lab) {
	l.faster = min(l.faster, cutPace)
	n, d := l.StartNATS(rig.NATSConfig{}), l.newDisk()
	l.external(n.URL, n.URL)
	l.begin()
	once, always := rig.Inject(rig.Syncs, "error=EIO:when=3"), rig.Inject(rig.Syncs, "error=EIO")
	l.reach(0.1)
	l.fail(once)
	l.reach(0.2)
	l.fail(always)
	l.reach(0.4)
	n.Kill()
	l.fail(once)
	l.reach(0.5)
	lost := 0
	l.failing(always, func() { lost = d.LoseUnsynced(journalFiles) })
	if lost == 0 {
		l.wrong("the disk lost nothing that it could not sync")
	}
	l.reach(0.6)
	l.alarmed("journal_failed")
	refused := l.book.snapshot().RefusedBy["503"]
	stop := l.Tamper(l.bridge.Process, always)
	l.Pause(failFor)
	d.CutPower(l.bridge.Process, "")
	stop()
	if l.book.snapshot().RefusedBy["503"] == refused {
		l.wrong("no webhook was refused while nothing could be synced")
	}
	l.start()
	l.heal()
	l.recovered()
	l.reach(0.9)
	n.Start()
	if l.hadAlarm("journal_damaged") {
		l.wrong("what nobody was told to be stored is called damaged: the journal went on behind it")
	}
	l.note("fsync failed once and for %v, with NATS and without it, then %d sectors were lost with it, and then the power failed", failFor, lost)
	l.end()
}

// failFor is how long a disk fails.
const failFor = time.Second

func (l *lab) fail(words []string) { l.failing(words, func() {}) }

// failing does something while the disk still fails, before the bridge recovers.
func (l *lab) failing(words []string, and func()) {
	stop := l.Tamper(l.bridge.Process, words)
	l.Pause(failFor)
	and()
	stop()
	l.heal()
	l.recovered()
}

// alarmed: there must have been an alarm of that kind.
func (l *lab) alarmed(kind string) {
	if !l.hadAlarm(kind) {
		l.wrong("there was no alarm %s", kind)
	}
}

func (l *lab) hadAlarm(kind string) bool {
	return slices.ContainsFunc(alarms(l.bridge.Log, 0), func(a alarm) bool { return a.Alarm == kind })
}
