package rig

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/highwayhash"
)

// How nats-server 2.15 writes a message into a block: the length of the record, of which
// the highest bit says that the message has a header, the sequence, the time in ns, the
// length of the subject; then the subject, the header and the body, and last a hash of
// everything but the lengths.
const (
	recordHead    = 22
	recordHash    = 8
	recordHeader  = 1 << 31
	recordSeq     = 4
	recordTime    = 12
	recordSubject = 20
	blockBytes    = 8 << 20 // how long a block gets
)

var le = binary.LittleEndian

// Record is a message in a block, which begins at an offset.
type Record struct {
	Bytes  []byte
	Offset int
}

// Sequence is that of the message.
func (r Record) Sequence() uint64 { return le.Uint64(r.Bytes[recordSeq:]) }

// Records are the messages of a block. With an error they are those before the first
// place that is no message.
func Records(block []byte) (all []Record, err error) {
	for at := 0; at < len(block); {
		rest := block[at:]
		if len(rest) < recordHead+recordHash {
			return all, errors.New("the block ends in the middle of a message")
		}
		size := int(le.Uint32(rest) &^ recordHeader)
		if size < recordHead+recordHash+int(le.Uint16(rest[recordSubject:])) || size > len(rest) {
			return all, errors.New("a message has an impossible length")
		}
		all = append(all, Record{Bytes: rest[:size], Offset: at})
		at += size
	}
	return all, nil
}

// hash returns the hash that the record should end with.
func (r Record) hash(h hash.Hash) []byte {
	body := recordHead + int(le.Uint16(r.Bytes[recordSubject:]))
	subject := r.Bytes[recordHead:body]
	if le.Uint32(r.Bytes)&recordHeader != 0 {
		body += 4 // the length of the header is not in the hash
	}
	h.Reset()
	for _, part := range [][]byte{r.Bytes[recordSeq:recordSubject], subject, r.Bytes[body : len(r.Bytes)-recordHash]} {
		_, _ = h.Write(part) // a hash takes everything
	}
	return h.Sum(nil)
}

// stamp gives the record another sequence and time.
func (r Record) stamp(h hash.Hash, sequence, nanoseconds uint64) {
	le.PutUint64(r.Bytes[recordSeq:], sequence)
	le.PutUint64(r.Bytes[recordTime:], nanoseconds)
	copy(r.Bytes[len(r.Bytes)-recordHash:], r.hash(h))
}

// hashOf returns the hash of the records in a block file of a stream.
func hashOf(stream, file string) hash.Hash {
	key := sha256.Sum256([]byte(stream + "-" + strings.TrimSuffix(filepath.Base(file), ".blk")))
	return Must(highwayhash.New64(key[:]))
}

// Blocks are the files with the messages of the stream of events in a server's store, in
// their order.
func Blocks(store string) (folder string, files []string) { return blocksOf(store, EventsStream) }

func blocksOf(store, stream string) (folder string, files []string) {
	found := Must(filepath.Glob(filepath.Join(store, "jetstream", "*", "streams", stream, "msgs")))
	if len(found) != 1 {
		Check(fmt.Errorf("looking for the stream %s: %s has %d folders of it", stream, store, len(found)))
	}
	files = Must(filepath.Glob(filepath.Join(found[0], "*.blk")))
	// The names are numbers: 9.blk is before 10.blk.
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return found[0], files
}

// Age makes the messages in the stream of events older by d, as if the server, which must
// not run, had stored them so much earlier.
func Age(store string, d time.Duration) { AgeStream(store, EventsStream, d) }

// AgeStream is [Age] for another stream. A negative d makes the messages younger.
func AgeStream(store, stream string, d time.Duration) {
	folder, files := blocksOf(store, stream)
	for _, file := range files {
		block := Must(os.ReadFile(file))
		all, err := Records(block)
		Check(err, "ageing", file)
		h := hashOf(stream, file)
		for _, r := range all {
			if !bytes.HasSuffix(r.Bytes, r.hash(h)) {
				Check(errors.New("a message has another hash than it should"), "ageing", file)
			}
			r.stamp(h, r.Sequence(), le.Uint64(r.Bytes[recordTime:])-uint64(d))
		}
		Check(os.WriteFile(file, block, 0o600))
	}
	// The index repeats the times; the server makes it anew from the blocks.
	if err := os.Remove(filepath.Join(folder, "index.db")); !errors.Is(err, fs.ErrNotExist) {
		Check(err)
	}
}

// Repeat replaces the stream of events by count copies of its first message; the server
// must not run. The times of the copies go from the first to the last by equal steps: no
// client can publish what is older than the duplicate window.
func Repeat(store string, count int, first, last time.Time) {
	folder, files := Blocks(store)
	sample := Must(Records(Must(os.ReadFile(files[0]))))[0].Bytes
	Check(errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o700)))
	step := last.Sub(first) / time.Duration(count)
	for seq, index := 1, 1; seq <= count; index++ {
		file := filepath.Join(folder, strconv.Itoa(index)+".blk")
		h := hashOf(EventsStream, file)
		block := bytes.Repeat(sample, min(blockBytes/len(sample)+1, count-seq+1))
		for copied := range slices.Chunk(block, len(sample)) {
			Record{Bytes: copied}.stamp(h, uint64(seq), uint64(first.Add(time.Duration(seq)*step).UnixNano()))
			seq++
		}
		Check(os.WriteFile(file, block, 0o600))
	}
}
