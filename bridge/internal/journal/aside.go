package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
)

// Aside is a record that its stream will never take, with the cause.
type Aside struct {
	Record
	// Size is the length of the body.
	Size int
	// Cause is why the stream did not take it.
	Cause string
	// SetAsideAt is when it was set aside.
	SetAsideAt time.Time
}

const (
	asideFolder = "aside"
	asideSuffix = ".record"
	asideMark   = 0
)

type asideTotal struct {
	records int
	bytes   int64
}

// with and without a file of so many bytes; 0 is none.
func (t asideTotal) with(bytes int64) asideTotal {
	if bytes == 0 {
		return t
	}
	return asideTotal{t.records + 1, t.bytes + bytes}
}

func (t asideTotal) without(bytes int64) asideTotal {
	if bytes == 0 {
		return t
	}
	return asideTotal{t.records - 1, t.bytes - bytes}
}

// asideSize is 0 for a file that is not there.
func asideSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func asideName(sequence uint64) string { return fmt.Sprintf("%020d%s", sequence, asideSuffix) }

// SetAside keeps a record in a file of its own, so that it holds up nothing behind it, and
// returns nil when it is on the disk. The caller then settles it. The record counts against
// MaxBytes, but is never refused for it. To set the same one aside again replaces it.
func (j *Journal) SetAside(r Record, cause string) error {
	e, err := encode(&r, r.At)
	if err != nil {
		return err
	}
	e.stamp(asideMark, r.Sequence, 0)
	trailer := binary.LittleEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
	trailer = append(trailer, cause...)
	trailer = binary.LittleEndian.AppendUint32(trailer, crc32.Checksum(trailer, castagnoli))
	j.asideMu.Lock()
	defer j.asideMu.Unlock()
	path, file := j.path(asideFolder, asideName(r.Sequence)), append(e.data, trailer...)
	had := asideSize(path)
	err = os.MkdirAll(j.path(asideFolder), 0o750)
	if err == nil {
		err = syncDir(j.dir)
	}
	if err == nil {
		err = datafolder.WriteFile(path, file, 0o640)
	}
	if err != nil {
		return fmt.Errorf("setting a record of the journal aside: %w", err)
	}
	j.mu.Lock()
	j.aside, j.asideCause = j.aside.without(had).with(int64(len(file))), cause
	j.mu.Unlock()
	j.Look()
	return nil
}

// Aside returns what is set aside, by sequence, without the bodies; see AsideRecord. Each file
// is read and checked; one that is damaged is an alarm and is left out.
func (j *Journal) Aside() ([]Aside, error) {
	names, err := j.asideNames()
	if err != nil {
		return nil, err
	}
	var all []Aside
	for _, name := range names {
		a, _, err := j.readAside(name)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, errDamaged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		a.Body = nil
		all = append(all, a)
	}
	return all, nil
}

// AsideRecord returns one record that is set aside, with its body. The error wraps
// bridge.ErrNotFound when there is none.
func (j *Journal) AsideRecord(sequence uint64) (Aside, error) {
	a, _, err := j.readAside(asideName(sequence))
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("record %d is not set aside: %w", sequence, bridge.ErrNotFound)
	}
	return a, err
}

// Resend appends what is set aside again, with new sequences, and removes each record once it
// is durable there. It returns how many it moved. A crash may leave one in both places; its
// message id is the same. What is damaged stays, with an alarm. The errors are those of
// Append.
func (j *Journal) Resend(ctx context.Context) (int, error) {
	j.resending.Lock()
	defer j.resending.Unlock()
	names, err := j.asideNames()
	moved := 0
	for _, name := range names {
		var a Aside
		var size int64
		if a, size, err = j.readAside(name); errors.Is(err, errDamaged) {
			err = nil
			continue
		}
		if err == nil {
			err = j.append(ctx, size, []*Record{&a.Record})
		}
		if err == nil {
			err = j.removeAside(name)
		}
		if err != nil {
			break
		}
		moved++
	}
	if err != nil {
		return moved, fmt.Errorf("resending what is set aside: %w", err)
	}
	return moved, nil
}

func (j *Journal) removeAside(name string) error {
	j.asideMu.Lock()
	defer j.asideMu.Unlock()
	path := j.path(asideFolder, name)
	had := asideSize(path)
	if err := errors.Join(os.Remove(path), syncDir(j.path(asideFolder))); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.aside = j.aside.without(had)
	return nil
}

func (j *Journal) readAside(name string) (a Aside, size int64, err error) {
	path := j.path(asideFolder, name)
	text, err := os.ReadFile(path)
	if err != nil {
		return a, 0, fmt.Errorf("reading a record that is set aside: %w", err)
	}
	if a, err = decodeAside(text); err != nil {
		j.cfg.Alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmJournalDamaged, Subject: asideFolder + "/" + name, Details: map[string]any{"file": path},
			Text: fmt.Sprintf("%s, a record that was set aside, is damaged. Check the disk. Move the file away when you need it no more.", path),
		})
		return a, 0, fmt.Errorf("reading %s: %w", path, err)
	}
	return a, int64(len(text)), nil
}

func decodeAside(text []byte) (a Aside, err error) {
	if len(text) < prefixLen {
		return a, errDamaged
	}
	size := recordLen(text, asideMark)
	if size == 0 || len(text) < size+12 {
		return a, errDamaged
	}
	if a.Record, err = decode(text[:size:size], asideMark); err != nil {
		return a, err
	}
	trailer, sum := text[size:len(text)-4], binary.LittleEndian.Uint32(text[len(text)-4:])
	if crc32.Checksum(trailer, castagnoli) != sum {
		return a, errDamaged
	}
	a.Size, a.Cause = len(a.Body), string(trailer[8:])
	a.SetAsideAt = time.Unix(0, int64(binary.LittleEndian.Uint64(trailer))).UTC()
	return a, nil
}

func (j *Journal) asideNames() ([]string, error) {
	entries, err := j.asideFiles()
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, err
}

// asideFiles are by sequence.
func (j *Journal) asideFiles() ([]os.DirEntry, error) {
	entries, err := os.ReadDir(j.path(asideFolder))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listing what is set aside: %w", err)
	}
	found := entries[:0]
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), asideSuffix) {
			found = append(found, entry)
		}
	}
	return found, nil
}

func (j *Journal) countAside() (total asideTotal, err error) {
	entries, err := j.asideFiles()
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			total.records++
			total.bytes += info.Size()
		}
	}
	return total, err
}
