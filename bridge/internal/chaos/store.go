package main

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

// record is where a message lies in its block.
type record struct {
	offset, size int64
	sequence     uint64
}

// streamFolder returns where a server with that store directory, or a bridge with
// that data folder, keeps the messages of the stream of events.
func streamFolder(store string) (string, error) {
	var found string
	err := filepath.WalkDir(store, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && filepath.Base(path) == "msgs" && filepath.Base(filepath.Dir(path)) == eventsStream {
			found = path
		}
		return err
	})
	if err == nil && found == "" {
		err = errors.New("no folder of it")
	}
	if err != nil {
		return "", fmt.Errorf("looking for the stream %s: %w", eventsStream, err)
	}
	return found, nil
}

// blocks are the files with a stream's messages in their order, without those that
// are empty.
func blocks(folder string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.blk"))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if info.Size() > 0 {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Compare(blockNumber(a), blockNumber(b)) })
	return out, nil
}

func blockNumber(name string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(name), ".blk")) // 0 for what is none
	return n
}

// recordAt returns the message in that part of a block.
func recordAt(f *os.File, part float64) (record, error) {
	info, err := f.Stat()
	if err != nil {
		return record{}, err
	}
	head := make([]byte, recordHead)
	for r := (record{}); r.offset < info.Size(); r.offset += r.size {
		if _, err := f.ReadAt(head, r.offset); err != nil {
			return record{}, err
		}
		r.size = int64(binary.LittleEndian.Uint32(head) &^ recordHeader)
		r.sequence = binary.LittleEndian.Uint64(head[recordSeq:])
		if r.size < recordHead+recordHash {
			break
		}
		if float64(r.offset+r.size) > part*float64(info.Size()) {
			return r, nil
		}
	}
	return record{}, errors.New("there is no message at this place of the block")
}
