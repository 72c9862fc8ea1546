package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/highwayhash"
)

// age makes the messages in the stream of events older by d, as if the server, which must not
// run, had stored them so much earlier. It is how hours pass here: they are the
// server's own records, with their own hashes.
func age(store string, d time.Duration) error {
	folder, err := streamFolder(store)
	if err != nil {
		return err
	}
	names, err := blocks(folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		block, err := os.ReadFile(name)
		if err == nil {
			err = ageBlock(block, eventsStream+"-"+strings.TrimSuffix(filepath.Base(name), ".blk"), d)
		}
		if err == nil {
			err = os.WriteFile(name, block, 0o600)
		}
		if err != nil {
			return fmt.Errorf("ageing %s: %w", name, err)
		}
	}
	// The index repeats the times; the server makes it anew from the blocks.
	if err := os.Remove(filepath.Join(folder, "index.db")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func ageBlock(block []byte, key string, d time.Duration) error {
	sum := sha256.Sum256([]byte(key))
	hash, err := highwayhash.New64(sum[:])
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	for at := 0; at < len(block); {
		if len(block)-at < recordHead+recordHash {
			return errors.New("it ends in the middle of a message")
		}
		length := le.Uint32(block[at:])
		size, subject := int(length&^recordHeader), int(le.Uint16(block[at+recordSubject:]))
		if size < recordHead+recordHash+subject || size > len(block)-at {
			return errors.New("a message has an impossible length")
		}
		record := block[at : at+size]
		rest := recordHead + subject
		if length&recordHeader != 0 {
			rest += 4 // the length of the header is not in the hash
		}
		checksum := func() []byte {
			hash.Reset()
			for _, part := range [][]byte{record[recordSeq:recordSubject], record[recordHead : recordHead+subject], record[rest : size-recordHash]} {
				_, _ = hash.Write(part) // a hash takes everything
			}
			return hash.Sum(nil)
		}
		if !bytes.Equal(checksum(), record[size-recordHash:]) {
			return errors.New("a message has another hash than it should")
		}
		stored := int64(le.Uint64(record[recordTime:])) - int64(d)
		le.PutUint64(record[recordTime:], uint64(stored))
		copy(record[size-recordHash:], checksum())
		at += size
	}
	return nil
}
