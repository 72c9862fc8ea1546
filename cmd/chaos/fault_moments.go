package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// The folder of the journal, and its files, in the data folder.
const (
	journalFolder   = "journal"
	journalPosition = "journal/position"
	journalFormat   = "journal/format"
)

const killedAt = "signal=SIGKILL:when="

// killMoments kills the bridge at chosen system calls, of which those to its disk are for the
// journal, as its NATS is another process.
func killMoments(l *lab) {
	n := l.StartNATS(rig.NATSConfig{})
	l.external(n.URL, n.URL)
	l.begin()
	moments := []func(){
		// Written and not synced.
		func() { l.killedAt(rig.Inject(rig.Syncs, killedAt+"7")) },
		// Synced and not answered: the sync is done, and the program does not know it yet.
		func() {
			l.Tamper(l.bridge.Process, rig.Inject(rig.Syncs, "delay_exit=2000000"))
			l.Pause(failFor)
			l.bridge.Kill()
		},
		// Acknowledged by the stream, and the position not written; then at the reading of
		// the position.
		func() {
			l.killedAt(l.atPosition(killedAt + "1"))
			l.startKilled(append(rig.Inject("openat", killedAt+"1"), "-P", l.inData(journalPosition)))
		},
		// As it begins a generation: before its folder is there, and at each sync of it.
		func() {
			l.bridge.Kill()
			for _, calls := range [][]string{rig.Inject("mkdirat", killedAt+"1"), rig.Inject(rig.Syncs, killedAt+"1"), rig.Inject(rig.Syncs, killedAt+"3")} {
				l.startKilled(calls)
			}
		},
		// As it removes the generations of those before it.
		func() {
			l.bridge.Kill()
			l.startKilled(rig.Inject("unlink,unlinkat", killedAt+"1"))
		},
	}
	l.each(len(moments), 0, func(i int) {
		l.Pause(l.uptime())
		l.heal() // it is over as soon as it is done
		moments[i]()
		l.start()
		l.recovered()
	})
	l.note("killed before and after a sync, before the position, and then while it read that, began a generation, and removed older ones")
	l.end()
}

// atPosition changes the system call by which the position is replaced. Of its two paths strace
// looks at the first.
func (l *lab) atPosition(change string) []string {
	return append(rig.Inject("rename,renameat,renameat2", change), "-P", l.inData(journalPosition+".tmp"))
}

func (l *lab) inData(name string) string { return l.config.Data + "/" + name }

// killedAt waits until the bridge is killed at a system call.
func (l *lab) killedAt(words []string) {
	l.Tamper(l.bridge.Process, words)
	l.awaitKill()
}

func (l *lab) awaitKill() {
	rig.Check(l.Until("the bridge is killed at a system call", patience, often, func(context.Context) bool { return !l.bridge.Alive() }))
}

// startKilled starts a bridge that is killed at a system call, before it is ready or after.
func (l *lab) startKilled(words []string) {
	c := l.config
	c.Trace = words
	err := rig.Try(func() { l.bridge = l.StartBridge(c) })
	switch {
	case err == nil:
		l.awaitKill()
	case !strings.Contains(err.Error(), "signal: killed"):
		rig.Check(err)
	}
}

// journalDamage changes a byte in the journal of a bridge that is stopped while NATS is away,
// and cuts off its end. Each of the two takes some records, which alarms must name.
func journalDamage(l *lab) {
	n := l.StartNATS(rig.NATSConfig{})
	l.external(n.URL, n.URL)
	l.begin()
	l.reach(0.2)
	rig.Must(n.Stop())
	l.reach(0.9)
	l.sender.rest()
	rig.Must(l.bridge.Stop())
	d := &damaged{lab: l, seen: rig.Must(os.Stat(l.bridge.Log)).Size()}
	files := rig.JournalFiles(l.config.Data)
	victims := append(flipIn(files[(len(files)-1)/2]), cutOffEnd(files[len(files)-1])...)
	l.start()
	n.Start()
	for _, d.victim = range victims {
		d.waitNamed("a record of the journal that was damaged or cut off")
	}
	d.goOn()
	if l.report.Lost > len(victims) {
		l.wrong("%d webhooks are lost to the damage of %d records", l.report.Lost, len(victims))
	}
}

// flipIn changes a byte of a record in the middle of a segment, and cutOffEnd cuts a segment
// off in one of its last records, if there is one. They return the sequences of the victims.
func flipIn(file string) (victims []uint64) {
	f := rig.Must(os.OpenFile(file, os.O_RDWR, 0))
	all := rig.JournalRecords(rig.Must(os.ReadFile(file)))
	r := all[len(all)/2]
	rig.Check(errors.Join(flip(f, rig.Record(r)), f.Close()))
	return []uint64{r.Sequence()}
}

func cutOffEnd(file string) (victims []uint64) {
	const most = 3
	all := rig.JournalRecords(rig.Must(os.ReadFile(file)))
	all = all[len(all)-min(most, len(all)):]
	for _, r := range all {
		victims = append(victims, r.Sequence())
	}
	if len(all) > 0 {
		rig.Check(os.Truncate(file, int64(all[0].Offset+len(all[0].Bytes)/2)))
	}
	return victims
}

// journalMoved has journals that no bridge can use, which must say so, and then goes on with a
// copy of one: in another folder, on another file system, behind a link.
func journalMoved(l *lab) {
	n := l.StartNATS(rig.NATSConfig{})
	l.external(n.URL, n.URL)
	l.begin()
	l.reach(0.2)
	rig.Must(n.Stop())
	l.reach(0.7)
	l.bridge.Kill()
	disk, old := l.newDisk(), l.Path("data")
	l.config.Data = l.Path("elsewhere")
	moved := disk.Mount + "/kept"
	rig.Check(os.CopyFS(moved, os.DirFS(old+"/"+journalFolder)))
	rig.Check(os.Rename(old, old+"-gone"))
	rig.Check(os.Mkdir(l.config.Data, 0o700))
	rig.Check(os.Symlink(moved, l.inData(journalFolder)))

	disk.ReadOnly(true)
	l.refuses("a read-only journal", l.inData(journalFolder))
	disk.ReadOnly(false)
	format := rig.Must(os.ReadFile(l.inData(journalFormat)))
	rig.Check(os.WriteFile(l.inData(journalFormat), []byte("99\n"), 0o600))
	l.refuses("a journal of a newer format", l.inData(journalFormat))
	rig.Check(os.WriteFile(l.inData(journalFormat), format, 0o600))

	l.start()
	l.heal()
	l.recovered()
	l.reach(0.9)
	n.Start()
	l.note("refused while it was read-only and while it was newer; then its copy went on elsewhere")
	l.end()
}

// refuses: the bridge must not start, and name what is wrong.
func (l *lab) refuses(what, name string) {
	err := rig.Try(l.start)
	switch {
	case err == nil:
		l.bridge.Kill()
		l.wrong("a bridge has started with %s", what)
	case !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(err.Error(), name):
		l.wrong("with %s a bridge did not end with code 1 and name %s: %v", what, name, err)
	}
}
