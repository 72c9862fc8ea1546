package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minio/highwayhash"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// How nats-server 2.15 writes a message into a block: the length of the record, of
// which the highest bit says that the message has a header, the sequence, the time
// in ns, the length of the subject; then the subject, the header and the body, and
// last a hash of everything but the lengths.
const (
	recordHead    = 22
	recordHash    = 8
	recordHeader  = 1 << 31
	recordSeq     = 4
	recordTime    = 12
	recordSubject = 20
)

var le = binary.LittleEndian

// record is a message in a block, which begins at an offset.
type record struct {
	bytes    []byte
	offset   int
	sequence uint64
}

// records are the messages of a block. With an error they are those before the place that
// is none.
func records(block []byte) (all []record, err error) {
	for at := 0; at < len(block); {
		rest := block[at:]
		if len(rest) < recordHead+recordHash {
			return all, errors.New("the block ends in the middle of a message")
		}
		size := int(le.Uint32(rest) &^ recordHeader)
		if size < recordHead+recordHash+int(le.Uint16(rest[recordSubject:])) || size > len(rest) {
			return all, errors.New("a message has an impossible length")
		}
		all = append(all, record{bytes: rest[:size], offset: at, sequence: le.Uint64(rest[recordSeq:])})
		at += size
	}
	return all, nil
}

// blocks are the files with the messages of the stream of events in a server's store, in
// their order.
func blocks(store string) (folder string, files []string) {
	found := rig.Must(filepath.Glob(filepath.Join(store, "jetstream", "*", "streams", rig.EventsStream, "msgs")))
	if len(found) != 1 {
		rig.Check(fmt.Errorf("looking for the stream %s: %s has %d folders of it", rig.EventsStream, store, len(found)))
	}
	files = rig.Must(filepath.Glob(filepath.Join(found[0], "*.blk")))
	// They have numbers: 9.blk is before 10.blk.
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return found[0], files
}

// age makes the messages in the stream of events older by d, as if the server, which must
// not run, had stored them so much earlier. It is how hours pass here: they are the
// server's own records, with their own hashes.
func age(store string, d time.Duration) {
	folder, files := blocks(store)
	for _, file := range files {
		block := rig.Must(os.ReadFile(file))
		err := ageBlock(block, rig.EventsStream+"-"+strings.TrimSuffix(filepath.Base(file), ".blk"), d)
		if err != nil {
			rig.Check(fmt.Errorf("ageing %s: %w", file, err))
		}
		rig.Check(os.WriteFile(file, block, 0o600))
	}
	// The index repeats the times; the server makes it anew from the blocks.
	if err := os.Remove(filepath.Join(folder, "index.db")); !errors.Is(err, fs.ErrNotExist) {
		rig.Check(err)
	}
}

func ageBlock(block []byte, key string, d time.Duration) error {
	all, err := records(block)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(key))
	hash := rig.Must(highwayhash.New64(sum[:]))
	for _, r := range all {
		end := len(r.bytes) - recordHash
		body := recordHead + int(le.Uint16(r.bytes[recordSubject:]))
		subject := r.bytes[recordHead:body]
		if le.Uint32(r.bytes)&recordHeader != 0 {
			body += 4 // the length of the header is not in the hash
		}
		checksum := func() []byte {
			hash.Reset()
			for _, part := range [][]byte{r.bytes[recordSeq:recordSubject], subject, r.bytes[body:end]} {
				_, _ = hash.Write(part) // a hash takes everything
			}
			return hash.Sum(nil)
		}
		if !bytes.Equal(checksum(), r.bytes[end:]) {
			return errors.New("a message has another hash than it should")
		}
		le.PutUint64(r.bytes[recordTime:], le.Uint64(r.bytes[recordTime:])-uint64(d))
		copy(r.bytes[end:], checksum())
	}
	return nil
}
