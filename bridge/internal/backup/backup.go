// Package backup saves what a bridge keeps in one folder of files, and brings it back: the
// streams with their durables as NATS' own snapshots, the journal's records, the small files of
// the data folder, and the configuration without secrets.
//
// # Order
//
// A bridge that runs goes on while it is saved. Messages move between the streams meanwhile:
// each is published in its new place before it leaves the old one. Whatever can move from A to B
// is saved with A first, so that it is in one of both, or in both: nothing is lost, and what is
// in both is known again after a restore.
//
//	from         to           saved in this order           known again by
//	journal      any stream   journal, streams              Nats-Msg-Id
//	UNCONFIRMED  journal      UNCONFIRMED, journal          Nats-Msg-Id
//	REFUSED      journal      REFUSED, journal              Nats-Msg-Id
//	QUARANTINE   journal      QUARANTINE, journal           Nats-Msg-Id
//	UNCONFIRMED  QUARANTINE   UNCONFIRMED, QUARANTINE       the diagnosis of the delivery
//	DEAD         EVENTS       DEAD, EVENTS                  Nats-Msg-Id of the redrive
//	LATER        EVENTS       the mover stands still        -
//	EVENTS       LATER        EVENTS, LATER                 Nats-Msg-Id of the attempt
//	EVENTS       ADVISORIES   EVENTS, ADVISORIES            the dead letter's id
//	EVENTS       DEAD         EVENTS, tail of DEAD          the dead letter's id
//	ADVISORIES   DEAD         ADVISORIES, tail of DEAD      the dead letter's id
//	journal      QUARANTINE   journal, tail of QUARANTINE   Nats-Msg-Id
//	EVENTS       ATTEMPTS     EVENTS, ATTEMPTS              the mark of an event that was done
//
// Where messages move both ways, the stream is saved first and its tail last: what was stored
// behind the snapshot. If something of the tail has left meanwhile, the backup fails: the
// message may be in neither place. The mover is paused by NATS itself, with a deadline, so that
// a backup that dies holds nothing up for long. ERASED is saved last, with everything that was
// erased until then.
package backup

import (
	"encoding/json"
	"io"
	"regexp"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Format is the version of the format. A newer one is refused.
const Format = 1

// Names of files in a backup.
const (
	manifestName      = "manifest.json"
	sumsName          = "SHA256SUMS"
	configName        = "config.yaml"
	journalBeforeName = "journal-before.jsonl"
	journalAfterName  = "journal-after.jsonl"
	folderPrefix      = "folder/"
	streamsPrefix     = "streams/"
	// Those of a stream have the names that the command nats gives them, which can restore a
	// stream of its own.
	streamConfig  = "/backup.json"
	streamArchive = "/stream.arc.s2"
	tailArchive   = "/tail.arc.s2"
)

// fileName is what a file in a backup may be called. Nothing that comes from outside becomes
// another path.
var fileName = regexp.MustCompile(`^(manifest\.json|SHA256SUMS|config\.yaml|journal-(before|after)\.jsonl|folder/[a-z0-9][a-z0-9.-]{0,63}\.json|streams/[A-Z0-9_-]{1,80}/(backup\.json|stream\.arc\.s2|tail\.arc\.s2))$`)

const (
	// maxFiles is more than a backup has.
	maxFiles = 128
	// maxText bounds files that are read as a whole, in bytes.
	maxText = 32 << 20
)

// Manifest says what a backup holds.
type Manifest struct {
	Format int `json:"format"`
	// Version is that of the Hookspan that made it.
	Version string `json:"version"`
	// From and To are the times between which it was made.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Prefix is nats.prefix, Store where the streams were.
	Prefix string `json:"prefix"`
	Store  string `json:"store"`
	// Running: the bridge ran meanwhile.
	Running bool     `json:"running"`
	Streams []Stream `json:"streams"`
	// Journal is how many records of the journal are in it. What waited from the beginning to the
	// end in the journal of a bridge that ran counts twice.
	Journal uint64 `json:"journal"`
	Files   []File `json:"files"`
}

// Stream is one of a backup.
type Stream struct {
	Name string `json:"name"`
	Content

	// Tail is how many of the messages are in the file of the tail.
	Tail uint64 `json:"tail,omitempty"`
}

// File is one of a backup.
type File struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	SHA   string `json:"sha256"`
}

// Bytes is the size of all files.
func (m Manifest) Bytes() (n int64) {
	for _, f := range m.Files {
		n += f.Bytes
	}
	return n
}

// Stream returns the stream of that name, false when the backup has none.
func (m Manifest) Stream(name string) (Stream, bool) {
	for _, s := range m.Streams {
		if s.Name == name {
			return s, true
		}
	}
	return Stream{}, false
}

// Events is how many events are in the backup.
func (m Manifest) Events() uint64 {
	s, _ := m.Stream(bridge.Names{Prefix: m.Prefix}.EventsStream())
	return s.Messages
}

// A Sink takes the files of a backup one after the other.
type Sink interface {
	// Create begins a file, which its closing ends.
	Create(name string) (io.WriteCloser, error)
}

// streamFile is what [streamConfig] holds.
type streamFile struct {
	Config json.RawMessage `json:"config"`
	State  any             `json:"state"`
}
