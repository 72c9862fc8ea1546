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
	"strconv"
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

// record is a message in a block, which begins at an offset.
type record struct {
	bytes    []byte
	offset   int
	sequence uint64
}

// records are the messages of a block. With an error they are those before the place that
// is none.
func records(block []byte) (all []record, err error) {
	le := binary.LittleEndian
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

// block is a file with messages of the stream of events.
type block struct {
	path   string
	number int
}

// blocks are those of a server with that store directory, or a bridge with that data
// folder, in their order, without those that are empty.
func blocks(store string) (all []block) {
	found := false
	rig.Check(filepath.WalkDir(store, func(path string, entry fs.DirEntry, err error) error {
		folder := filepath.Dir(path)
		if err != nil || filepath.Base(folder) != "msgs" || filepath.Base(filepath.Dir(folder)) != rig.EventsStream {
			found = found || err == nil && entry.IsDir() && filepath.Base(path) == "msgs" && filepath.Base(folder) == rig.EventsStream
			return err
		}
		name, ok := strings.CutSuffix(filepath.Base(path), ".blk")
		info, err := entry.Info()
		if err == nil && ok && info.Size() > 0 {
			n, _ := strconv.Atoi(name) // 0 for what is none
			all = append(all, block{path, n})
		}
		return err
	}))
	if !found {
		rig.Check(fmt.Errorf("looking for the stream %s: no folder of it", rig.EventsStream))
	}
	slices.SortFunc(all, func(a, b block) int { return cmp.Compare(a.number, b.number) })
	return all
}

// age makes the messages in the stream of events older by d, as if the server, which must
// not run, had stored them so much earlier. It is how hours pass here: they are the
// server's own records, with their own hashes.
func age(store string, d time.Duration) {
	for _, b := range blocks(store) {
		text := rig.Must(os.ReadFile(b.path))
		err := ageBlock(text, fmt.Sprintf("%s-%d", rig.EventsStream, b.number), d)
		if err == nil {
			err = os.WriteFile(b.path, text, 0o600)
		}
		if err != nil {
			rig.Check(fmt.Errorf("ageing %s: %w", b.path, err))
		}
		// The index repeats the times; the server makes it anew from the blocks.
		if err := os.Remove(filepath.Join(filepath.Dir(b.path), "index.db")); !errors.Is(err, fs.ErrNotExist) {
			rig.Check(err)
		}
	}
}

func ageBlock(block []byte, key string, d time.Duration) error {
	sum := sha256.Sum256([]byte(key))
	hash, err := highwayhash.New64(sum[:])
	if err != nil {
		return err
	}
	all, err := records(block)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	for _, r := range all {
		body := recordHead + int(le.Uint16(r.bytes[recordSubject:]))
		content := r.bytes[recordHead:body]
		if le.Uint32(r.bytes)&recordHeader != 0 {
			body += 4 // the length of the header is not in the hash
		}
		checksum := func() []byte {
			hash.Reset()
			for _, part := range [][]byte{r.bytes[recordSeq:recordSubject], content, r.bytes[body : len(r.bytes)-recordHash]} {
				_, _ = hash.Write(part) // a hash takes everything
			}
			return hash.Sum(nil)
		}
		if !bytes.Equal(checksum(), r.bytes[len(r.bytes)-recordHash:]) {
			return errors.New("a message has another hash than it should")
		}
		le.PutUint64(r.bytes[recordTime:], le.Uint64(r.bytes[recordTime:])-uint64(d))
		copy(r.bytes[len(r.bytes)-recordHash:], checksum())
	}
	return nil
}
