package journal

import (
	"fmt"
	"slices"
	"sort"
)

// generation is one folder of segments with consecutive sequences, written by one process
// without a failure. Only the newest one of this process is appended to. The fields that
// change are guarded by Journal.mu.
type generation struct {
	// name is the folder's: the first sequence and the mark.
	name  string
	first uint64
	mark  uint64
	// end is the last sequence that counts; first-1 while there is none. What lies behind it
	// was in flight when a write failed.
	end uint64
	// reported is from where on a loss is no news: the journal had its alarm when it was opened,
	// or the record is of the last batch, which nobody may have synced. 0 for nowhere.
	reported uint64
	segments []segmentFile // by base
	// current: this process appends to it.
	current bool
}

// segmentFile holds sequences from base to that of the next one.
type segmentFile struct {
	name string
	base uint64
}

const generationName = "%020d-%016x"

// empty reports whether nothing in the generation counts.
func (g *generation) empty() bool { return g.end < g.first }

// sure is the last sequence before which a loss is news.
func (g *generation) sure() uint64 {
	if g.reported != 0 {
		return min(g.end, g.reported-1)
	}
	return g.end
}

// waiting is the number of records behind settled.
func (g *generation) waiting(settled uint64) uint64 {
	if from := max(settled, g.first-1); g.end > from {
		return g.end - from
	}
	return 0
}

// upper is the last sequence that segment i can hold.
func (g *generation) upper(i int) uint64 {
	if i+1 < len(g.segments) {
		return min(g.segments[i+1].base-1, g.end)
	}
	return g.end
}

// place is where sequences from up to upper are: in one file, or nowhere when file is empty.
type place struct {
	generation  string
	mark        uint64
	file        string
	from, upper uint64
	// reported is that of the generation.
	reported uint64
}

func (p place) path() string { return p.generation + "/" + p.file }

// locate finds the first place that holds sequences from on. Callers hold Journal.mu.
func locate(generations []*generation, from uint64) (place, bool) {
	i := sort.Search(len(generations), func(i int) bool { return generations[i].end >= from })
	for ; i < len(generations) && generations[i].empty(); i++ {
	}
	if i == len(generations) {
		return place{}, false
	}
	g := generations[i]
	p := place{generation: g.name, mark: g.mark, from: max(from, g.first), upper: g.end, reported: g.reported}
	s := sort.Search(len(g.segments), func(s int) bool { return g.segments[s].base > p.from })
	switch {
	case s > 0:
		p.file, p.upper = g.segments[s-1].name, g.upper(s-1)
	case len(g.segments) > 0:
		p.upper = min(g.segments[0].base-1, g.end)
	}
	return p, true
}

// trimmed takes out of the generations what is settled, and returns the files and folders to
// remove. The newest generation keeps its folder: its name tells the next process which
// sequences were given out.
func trimmed(generations []*generation, settled uint64) (kept []*generation, files []place, folders []string) {
	for i, g := range generations {
		newest := i == len(generations)-1
		if !newest && !g.current && (g.empty() || g.end <= settled) {
			for _, s := range g.segments {
				files = append(files, place{generation: g.name, file: s.name})
			}
			folders = append(folders, g.name)
			continue
		}
		kept = append(kept, g)
		n := 0
		for n+1 < len(g.segments) && g.segments[n+1].base-1 <= settled {
			files = append(files, place{generation: g.name, file: g.segments[n].name})
			n++
		}
		g.segments = slices.Clone(g.segments[n:])
	}
	return kept, files, folders
}

// parseGeneration reads the name of a generation's folder.
func parseGeneration(name string) (*generation, bool) {
	g := &generation{name: name}
	if n, err := fmt.Sscanf(name, generationName, &g.first, &g.mark); n != 2 || err != nil || fmt.Sprintf(generationName, g.first, g.mark) != name || g.first == 0 {
		return nil, false
	}
	g.end = g.first - 1
	return g, true
}

// parseSegment reads the name of a segment, as raft-wal gives it.
func parseSegment(name string) (segmentFile, bool) {
	s := segmentFile{name: name}
	var id uint64
	n, err := fmt.Sscanf(name, "%020d-%016x.wal", &s.base, &id)
	return s, n == 2 && err == nil && s.base > 0
}
