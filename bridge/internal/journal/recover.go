package journal

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

const (
	formatFile = "format"
	format     = 1
	formatText = "1\n"
)

// reserve is how many sequences are passed over behind those that are known: an earlier
// process may have given out others that the disk has lost. No segment holds as many.
const reserve = 1_000_000

// recover reads the folder and returns the next sequence. It changes nothing on the disk.
func (j *Journal) recover() (next uint64, err error) {
	if err := j.checkFormat(); err != nil {
		return 0, err
	}
	j.ledger.grain = max(256<<10, j.cfg.MaxBytes/8192)
	ends, err := j.loadPosition()
	if err != nil {
		return 0, err
	}
	if j.aside, err = j.countAside(); err != nil {
		return 0, err
	}
	if j.generations, err = j.list(); err != nil {
		return 0, err
	}
	used := j.last > 0 || len(j.generations) > 0
	for _, g := range j.generations {
		if err := j.measure(g, ends[g.name]); err != nil {
			return 0, err
		}
		delete(ends, g.name)
		// The name of its last segment tells how far it was, even if nothing in it can be read.
		j.last = max(j.last, g.end)
	}
	for name, end := range ends {
		if g, ok := parseGeneration(name); ok && end > j.position.Settled {
			j.shorter(name, max(g.first, j.position.Settled+1), end)
		}
	}
	j.ledger.settle(j.position.Settled)
	if !used {
		return 1, nil
	}
	next = j.last
	if n := len(j.generations); n > 0 {
		next = max(next, j.generations[n-1].first)
	}
	return next + reserve, nil
}

func (j *Journal) checkFormat() error {
	text, err := os.ReadFile(j.path(formatFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil:
		// A damaged file must not keep anybody from accepting: each record has its version.
		j.cfg.Alarms.Raise(bridge.Alarm{Kind: bridge.AlarmJournalDamaged, Subject: formatFile, Text: fmt.Sprintf("%s holds %.20q and not a number. The journal is read as of format %d. Check the disk, then write %d into that file.", j.path(formatFile), text, format, format)})
	case version > format:
		return fmt.Errorf("%s says format %d, this program knows up to %d: use the newer Hookspan that made it", j.path(formatFile), version, format)
	}
	return nil
}

// list finds the generations and their segments.
func (j *Journal) list() ([]*generation, error) {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, err
	}
	var found []*generation
	for _, entry := range entries {
		g, ok := parseGeneration(entry.Name())
		if !ok {
			continue
		}
		files, err := j.cfg.vfs.ListDir(j.path(g.name))
		if err = j.toldUnreadable(g.name, err); err != nil {
			return nil, err
		}
		for _, file := range files {
			if s, ok := parseSegment(file); ok && s.base >= g.first {
				g.segments = append(g.segments, s)
			}
		}
		slices.SortFunc(g.segments, func(a, b segmentFile) int { return strings.Compare(a.name, b.name) })
		found = append(found, g)
	}
	slices.SortFunc(found, func(a, b *generation) int { return strings.Compare(a.name, b.name) })
	return found, nil
}

// measure finds out what a generation has, and alarms when it is shorter than known. Only its
// last segment is read, and the first record of the others.
func (j *Journal) measure(g *generation, known uint64) error {
	batch := g.first
	for i, s := range g.segments {
		last := i == len(g.segments)-1
		got, err := j.survey(g, s, last)
		if err != nil {
			return err
		}
		// A segment begins when all before it is synced.
		batch = max(batch, s.base, got.batch)
		g.end = max(g.end, s.base-1, got.last)
		switch {
		case !last:
			got.last = g.segments[i+1].base - 1
		case got.last < s.base:
			continue
		}
		got.first = s.base
		j.ledger.add(got.stretch)
	}
	// The last batch may have been under way when the process ended: what it lacks nobody was
	// told of, unless it is known to have been durable.
	g.reported = max(batch, known+1)
	if known > g.end {
		g.reported = g.end + 1
		if known > j.position.Settled {
			j.shorter(g.name, max(g.end, j.position.Settled)+1, known)
		}
		g.end = known
	}
	return nil
}

// surveyed is what a segment holds, and the first sequence of its last batch.
type surveyed struct {
	stretch
	batch uint64
}

// survey reads a segment to its end, or its first record.
func (j *Journal) survey(g *generation, s segmentFile, all bool) (got surveyed, err error) {
	file, err := j.cfg.vfs.OpenReader(j.path(g.name), s.name)
	if err != nil {
		return got, j.toldUnreadable(path.Join(g.name, s.name), err)
	}
	defer func() { _ = file.Close() }()
	scan := scanner{file: file, mark: g.mark}
	for {
		record, begins, err := scan.next()
		if err != nil || record == nil {
			return got, j.toldUnreadable(path.Join(g.name, s.name), errors.Join(err, scan.unreadable))
		}
		if got.firstAt.IsZero() {
			got.firstAt = timeOf(record)
		}
		got.last, got.lastAt = max(got.last, sequenceOf(record)), timeOf(record)
		got.batch = max(got.batch, batchOf(record))
		got.bytes = begins + int64(len(record))
		if !all {
			got.bytes = int64(j.cfg.SegmentBytes)
			if info, err := os.Stat(j.path(g.name, s.name)); err == nil {
				got.bytes = info.Size()
			}
			return got, nil
		}
	}
}

// toldUnreadable raises an alarm for what a damaged disk or folder says, and returns any other
// error: too many open files, for one, say nothing about the records.
func (j *Journal) toldUnreadable(name string, err error) error {
	if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	j.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmJournalDamaged, Subject: name, Details: map[string]any{"file": j.path(name)},
		Text: fmt.Sprintf("%s of the journal cannot be read: %v. What it holds is passed over, everything else is kept. Check the disk, and keep a copy of the folder before the journal is trimmed.", j.path(name), err),
	})
	return nil
}

func (j *Journal) shorter(name string, first, last uint64) {
	j.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmJournalDamaged, Subject: path.Join(name, "end"),
		Text: fmt.Sprintf("The journal is shorter than it was: %d records (sequences %d to %d) that were durable are missing at the end of %s. All others are kept. "+
			"Check the disk and what else writes to that folder, and compare with the senders what came before %s.", last-first+1, first, last, j.path(name), time.Now().UTC().Format(time.RFC3339)),
		Details: map[string]any{"file": j.path(name), "first": first, "last": last, "records": last - first + 1},
	})
}
