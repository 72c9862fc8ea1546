package stream

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// A message as nats-server writes it, little-endian: length 4 (the highest bit: it has
// headers), sequence 8, time 8, length of the subject 2, subject, length of the headers 4 if it
// has some, headers, body, checksum 8.
const (
	storedPrefix, storedSum = 22, 8
	storedHeaders           = 1 << 31
	// storedErased and storedTombstone are bits of the sequence.
	storedErased, storedTombstone = 1 << 63, 1 << 62
)

// Remains finds what the files of the embedded server still have of messages that are in no
// stream any more: it removes most messages without overwriting them, such as replaced values
// of a bucket, and acknowledged ones of a queue. With overwrite it overwrites those that match.
// Remains returns how many it found. Messages that are in their stream are left alone.
//
// Of the stream of events only the first file is searched: nothing leaves it elsewhere without
// being overwritten. The server may write an old file back from its memory for some seconds, so
// whoever must be sure looks again.
func (e *Embedded) Remains(ctx context.Context, js jetstream.JetStream, names bridge.Names, match func(subject string, header bridge.Header, body []byte) bool, overwrite bool) (found int, err error) {
	dir := filepath.Join(e.storeDir, server.JetStreamStoreDir, ownAccount, "streams")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("searching the files of NATS: %w", err)
	}
	for _, entry := range entries {
		stream, err := streamread.Open(ctx, js, entry.Name())
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return found, err
		}
		files, err := blockFiles(filepath.Join(dir, entry.Name(), "msgs"))
		if err != nil {
			return found, err
		}
		if entry.Name() == names.EventsStream() {
			files = files[:min(len(files), 1)]
		}
		for _, b := range files {
			n, err := b.search(ctx, stream, match, overwrite)
			if found += n; err != nil {
				return found, fmt.Errorf("searching %s: %w", b.path, err)
			}
		}
	}
	return found, nil
}

// blockFile is a file with messages.
type blockFile struct {
	path  string
	index uint64
}

func blockFiles(dir string) ([]blockFile, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.blk"))
	if err != nil {
		return nil, err
	}
	var files []blockFile
	for _, path := range paths {
		if index, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(path), ".blk"), 10, 32); err == nil {
			files = append(files, blockFile{path, index})
		}
	}
	slices.SortFunc(files, func(a, b blockFile) int { return int(a.index) - int(b.index) }) //nolint:gosec // 32 bits
	return files, nil
}

func (b blockFile) search(ctx context.Context, stream *streamread.Stream, match func(subject string, header bridge.Header, body []byte) bool, overwrite bool) (found int, err error) {
	data, err := os.ReadFile(b.path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // the server has just removed it
	}
	if err != nil {
		return 0, err
	}
	name := stream.CachedInfo().Config.Name
	for at := 0; len(data)-at >= storedPrefix+storedSum && ctx.Err() == nil; {
		size := int(binary.LittleEndian.Uint32(data[at:]) &^ storedHeaders)
		if size < storedPrefix+storedSum || size > len(data)-at {
			break // it is being written
		}
		record := data[at : at+size]
		at += size
		seq := binary.LittleEndian.Uint64(record[4:])
		subject, header, body, ok := parseStored(record)
		if !ok || seq&(storedErased|storedTombstone) != 0 || !match(subject, header, body) {
			continue
		}
		_, err := streamread.GetReadable(ctx, stream, seq)
		if err == nil {
			continue // it is in the stream
		}
		if !errors.Is(err, bridge.ErrNotFound) {
			return found, err
		}
		found++
		if overwrite {
			if err := b.overwrite(name, int64(at-size), record); err != nil {
				return found, err
			}
		}
	}
	return found, ctx.Err()
}

// parseStored returns the parts of a message; its headers are nil when they cannot be read.
func parseStored(record []byte) (subject string, header bridge.Header, body []byte, ok bool) {
	rest := record[storedPrefix : len(record)-storedSum]
	n := int(binary.LittleEndian.Uint16(record[20:]))
	if n > len(rest) {
		return "", nil, nil, false
	}
	subject, rest = string(rest[:n]), rest[n:]
	if binary.LittleEndian.Uint32(record)&storedHeaders == 0 {
		return subject, nil, rest, true
	}
	if len(rest) < 4 {
		return "", nil, nil, false
	}
	n, rest = int(binary.LittleEndian.Uint32(rest)), rest[4:]
	if n > len(rest) {
		return "", nil, nil, false
	}
	h, err := nats.DecodeHeadersMsg(rest[:n])
	if err != nil {
		return subject, nil, rest, true // all of it is searched as a body
	}
	return subject, bridge.Header(h), rest[n:], true
}

// overwrite makes of a message in a file what the server makes of one that it erases.
func (b blockFile) overwrite(stream string, at int64, record []byte) error {
	erased := make([]byte, len(record))
	binary.LittleEndian.PutUint32(erased, uint32(len(record))) //nolint:gosec // as it was
	binary.LittleEndian.PutUint64(erased[4:], binary.LittleEndian.Uint64(record[4:])|storedErased)
	random := erased[storedPrefix : len(erased)-storedSum]
	_, _ = rand.Read(random) // never fails
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, b.index))
	sum, err := highwayhash.New64(key[:])
	if err != nil {
		return err
	}
	_, _ = sum.Write(erased[4:20])
	_, _ = sum.Write(random)
	copy(erased[len(erased)-storedSum:], sum.Sum(nil))
	f, err := os.OpenFile(b.path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// The server replaces whole files, so this one either still has the message at that place,
	// or is another one, which the next look searches.
	now := make([]byte, len(record))
	if _, err = f.ReadAt(now, at); err == nil && bytes.Equal(now, record) {
		if _, err = f.WriteAt(erased, at); err == nil {
			err = f.Sync()
		}
	}
	return errors.Join(err, f.Close())
}
