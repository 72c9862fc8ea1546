package rig

import (
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// How Hookspan writes a record into a segment of its journal, at a multiple of 8 bytes: the
// word HSJ1; a CRC-32C of everything else, which takes the part from 8 to 28 last; the mark of
// the folder, the sequence and the place in the batch; the lengths of four parts; the time in ns.
const (
	journalMagic   = "HSJ1"
	journalAlign   = 8
	journalSum     = 4
	journalStamp   = 8
	journalSeq     = 16
	journalLengths = 28
	journalTime    = 40
	journalHead    = 48
)

// JournalFiles are the segments of the journal in a bridge's data folder, in the order of
// their records.
func JournalFiles(data string) []string {
	files := Must(filepath.Glob(filepath.Join(data, "journal", "*", "*.wal")))
	slices.Sort(files)
	return files
}

// JournalRecord is a record in a segment, which begins at an offset.
type JournalRecord Record

// Sequence is that of the record.
func (r JournalRecord) Sequence() uint64 { return le.Uint64(r.Bytes[journalSeq:]) }

func (r JournalRecord) sum() uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Checksum(r.Bytes[:journalSum], table)
	sum = crc32.Update(sum, table, r.Bytes[journalLengths:])
	return crc32.Update(sum, table, r.Bytes[journalStamp:journalLengths])
}

// JournalRecords are the intact records of a segment.
func JournalRecords(segment []byte) (all []JournalRecord) {
	for at := 0; at+journalHead <= len(segment); at += journalAlign {
		rest := segment[at:]
		if !strings.HasPrefix(string(rest[:len(journalMagic)]), journalMagic) {
			continue
		}
		part := rest[journalLengths:]
		size := journalHead + int(le.Uint16(part)) + int(le.Uint16(part[2:])) + int(le.Uint32(part[4:])) + int(le.Uint32(part[8:]))
		if size > len(rest) {
			continue
		}
		if r := (JournalRecord{Bytes: rest[:size], Offset: at}); r.sum() == le.Uint32(rest[journalSum:]) {
			all = append(all, r)
			at += (size - 1) / journalAlign * journalAlign
		}
	}
	return all
}

// AgeJournal makes the records in the journal of a data folder, which no bridge may use,
// older by d.
func AgeJournal(data string, d time.Duration) {
	for _, file := range JournalFiles(data) {
		segment := Must(os.ReadFile(file))
		all := JournalRecords(segment)
		if len(all) == 0 && strings.Contains(string(segment), journalMagic) {
			Check(errors.New("no record has the checksum that it should"), "ageing", file)
		}
		for _, r := range all {
			le.PutUint64(r.Bytes[journalTime:], le.Uint64(r.Bytes[journalTime:])-uint64(d))
			le.PutUint32(r.Bytes[journalSum:], r.sum())
		}
		Check(os.WriteFile(file, segment, 0o600))
	}
}
