package journal

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
)

// Checkpoint says how far the journal was settled at some time.
type Checkpoint struct {
	// Settled: every record up to this sequence is acknowledged by its stream or set aside.
	Settled uint64 `json:"settled"`
	// Last is the last record that is durable.
	Last uint64 `json:"last"`
	// Streams are the last acknowledged sequences of the streams, by name.
	Streams map[string]uint64 `json:"streams,omitempty"`
	// At is when that was; zero for a new journal.
	At time.Time `json:"at"`
}

const positionFile = "position"

// positionText is the content of the file, which ends with a line of its checksum: a digit
// that flips would pass over records.
type positionText struct {
	Checkpoint
	// Generations are the ends of those that are not settled, so that what is missing there is
	// noticed.
	Generations map[string]uint64 `json:"generations,omitempty"`
}

// loadPosition returns the known ends of generations. A damaged file is an alarm: everything
// that is still there is then forwarded again, and the streams know it by its message ids.
func (j *Journal) loadPosition() (map[string]uint64, error) {
	path := j.path(positionFile)
	if !datafolder.Exists(path) {
		return map[string]uint64{}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, ok := parsePosition(string(text))
	if !ok {
		j.cfg.Alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmJournalDamaged, Subject: positionFile, Details: map[string]any{"file": path},
			Text: fmt.Sprintf("%s is damaged. Every record that is still in the journal is forwarded again; its message id keeps it from being stored twice within the duplicate window. Check the disk.", path),
		})
		return map[string]uint64{}, nil
	}
	j.position, j.last = p.Checkpoint, p.Last
	return p.Generations, nil
}

func parsePosition(text string) (p positionText, ok bool) {
	line, sum, _ := strings.Cut(text, "\n")
	ok = sum == checksumLine(line) && json.Unmarshal([]byte(line), &p) == nil
	return p, ok
}

func checksumLine(line string) string {
	return fmt.Sprintf("%08x\n", crc32.Checksum([]byte(line), castagnoli))
}

// writePosition replaces the file and syncs it. It returns what it wrote as settled.
func (j *Journal) writePosition() (settled uint64, err error) {
	j.mu.Lock()
	p := positionText{Checkpoint: j.checkpoint(), Generations: map[string]uint64{}}
	for _, g := range j.generations {
		if end := g.sure(); end >= g.first && end > p.Settled {
			p.Generations[g.name] = end
		}
	}
	line, err := json.Marshal(p)
	j.mu.Unlock()
	if err != nil {
		return p.Settled, fmt.Errorf("writing the position of the journal: %w", err)
	}
	return p.Settled, datafolder.WriteFile(j.path(positionFile), []byte(string(line)+"\n"+checksumLine(string(line))), 0o640)
}

// Checkpoint returns how far the journal is settled: as an earlier process wrote it down, then
// as Settle was last called.
func (j *Journal) Checkpoint() Checkpoint {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.checkpoint()
	c.Streams = maps.Clone(c.Streams)
	return c
}

func (j *Journal) checkpoint() Checkpoint {
	c := j.position
	c.Last = j.last
	return c
}

// Settle says that everything up to a sequence is acknowledged by its stream or set aside, and
// need not be kept. It never goes back. acked are the streams' own last sequences, by name; a
// stream that is not named keeps its. It is written down within a second; what a process loses
// with that is forwarded again.
func (j *Journal) Settle(through uint64, acked map[string]uint64) {
	j.mu.Lock()
	through = min(through, j.last)
	j.position.Settled = max(j.position.Settled, through)
	j.position.At = time.Now().UTC()
	for name, sequence := range acked {
		if j.position.Streams == nil {
			j.position.Streams = map[string]uint64{}
		}
		j.position.Streams[name] = sequence
	}
	j.hot.settle(through)
	j.ledger.settle(through)
	j.mu.Unlock()
	j.wake(j.dirty)
}
