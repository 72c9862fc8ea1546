package rig

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// journalRecord is a record as a bridge writes it.
func journalRecord(sequence uint64, at time.Time, body string) []byte {
	r := JournalRecord{Bytes: append(make([]byte, journalHead), body...)}
	copy(r.Bytes, journalMagic)
	le.PutUint64(r.Bytes[journalSeq:], sequence)
	le.PutUint32(r.Bytes[journalLengths+8:], uint32(len(body)))
	le.PutUint64(r.Bytes[journalTime:], uint64(at.UnixNano()))
	le.PutUint32(r.Bytes[journalSum:], r.sum())
	return append(r.Bytes, make([]byte, (journalAlign-len(r.Bytes)%journalAlign)%journalAlign)...)
}

func TestJournal(t *testing.T) {
	t.Parallel()
	data, at := t.TempDir(), time.Unix(1e9, 0)
	file := filepath.Join(data, "journal", "g", "1.wal")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	before := make([]byte, 32) // of the file itself
	damaged := journalRecord(2, at, "two")
	damaged[journalHead]++
	last := journalRecord(3, at, "HSJ1 in a body")
	write := func(parts ...[]byte) { require.NoError(t, os.WriteFile(file, bytes.Join(parts, nil), 0o600)) }
	write(before, journalRecord(1, at, "one"), damaged, last, before)
	require.Equal(t, []string{file}, JournalFiles(data))
	require.NoError(t, Try(func() { AgeJournal(data, time.Hour) }))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	old := at.Add(-time.Hour)
	require.Equal(t, bytes.Join([][]byte{before, journalRecord(1, old, "one"), damaged, journalRecord(3, old, "HSJ1 in a body"), before}, nil), text)
	all := JournalRecords(text)
	require.Len(t, all, 2)
	require.EqualValues(t, 3, all[1].Sequence())
	require.Equal(t, len(text)-len(before)-len(last), all[1].Offset)
	write(damaged)
	require.ErrorContains(t, Try(func() { AgeJournal(data, time.Hour) }), file)
}

// Each sector is what was synced or what was written, and some are of each.
func TestTornSectors(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	const sector, sectors = 512, 100
	synced, written := make([]byte, sector*sectors), bytes.Repeat([]byte{1}, sector*sectors)
	require.NoError(t, os.WriteFile(file, synced, 0o600))
	tear(file, written)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	reached := 0
	for part := range sectors {
		first := text[part*sector]
		require.Equal(t, bytes.Repeat([]byte{first}, sector), text[part*sector:(part+1)*sector])
		reached += int(first)
	}
	require.Positive(t, reached)
	require.Less(t, reached, sectors)
	tear(file, written[1:])
	same, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, text, same, "a file of another length was never synced")
	tear(file+"-none", written)
	require.NoFileExists(t, file+"-none")
}
