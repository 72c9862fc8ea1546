package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats.go"
)

// blockBytes is how long a block file of a stream gets.
const blockBytes = 8 * mib

// writeBlocks writes count copies of the message as the block files of a stream of
// nats-server, into the folder of the stream's messages. Publishing cannot do that:
// these are to be older than the duplicate window. The times go from the first to
// the last by equal steps. What the server keeps beside the blocks it makes anew
// when it starts.
func writeBlocks(dir, stream string, m *nats.Msg, count int, first, last time.Time) error {
	header := natsHeader(m.Header)
	step := last.Sub(first) / time.Duration(count)
	block := make([]byte, 0, blockBytes+len(header)+len(m.Data)+kib)
	for seq, index := 1, 1; seq <= count; index++ {
		key := sha256.Sum256([]byte(stream + "-" + strconv.Itoa(index)))
		sum, err := highwayhash.New64(key[:])
		if err != nil {
			return fmt.Errorf("writing blocks: %w", err)
		}
		for block = block[:0]; seq <= count && len(block) < blockBytes; seq++ {
			at := first.Add(time.Duration(seq) * step)
			block = appendRecord(block, sum, uint64(seq), at, m.Subject, header, m.Data)
		}
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(index)+".blk"), block, 0o600); err != nil {
			return fmt.Errorf("writing blocks: %w", err)
		}
	}
	return nil
}

const (
	// recordHead is length, sequence, time and length of the subject.
	recordHead = 4 + 8 + 8 + 2
	// hasHeader is the bit of the length that says so.
	hasHeader = 1 << 31
)

// appendRecord adds a message with a header as nats-server's file store has it.
func appendRecord(b []byte, sum hash.Hash64, seq uint64, at time.Time, subject string, header, body []byte) []byte {
	le := binary.LittleEndian
	begin := len(b)
	length := recordHead + len(subject) + 4 + len(header) + len(body) + sum.Size()
	b = le.AppendUint32(b, uint32(length)|hasHeader)
	b = le.AppendUint64(b, seq)
	b = le.AppendUint64(b, uint64(at.UnixNano()))
	b = le.AppendUint16(b, uint16(len(subject)))
	b = append(b, subject...)
	b = le.AppendUint32(b, uint32(len(header)))
	b = append(b, header...)
	b = append(b, body...)
	sum.Reset()
	_, _ = sum.Write(b[begin+4 : begin+20]) // a hash never fails
	_, _ = sum.Write([]byte(subject))
	_, _ = sum.Write(header)
	_, _ = sum.Write(body)
	return sum.Sum(b)
}

// natsHeader is a header as it is on the wire and in the store.
func natsHeader(h nats.Header) []byte {
	var b bytes.Buffer
	b.WriteString("NATS/1.0\r\n")
	for key, values := range h {
		for _, v := range values {
			b.WriteString(key + ": " + v + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// replaceBlocks makes the stored messages of a stream that no server has open
// count copies of m.
func replaceBlocks(data, stream string, m *nats.Msg, count int, first, last time.Time) error {
	found, err := filepath.Glob(filepath.Join(data, "nats", "jetstream", "*", "streams", stream, "msgs"))
	if err != nil || len(found) != 1 {
		return errors.Join(fmt.Errorf("looking for the messages of stream %s: there are %d folders", stream, len(found)), err)
	}
	if err := os.RemoveAll(found[0]); err != nil {
		return fmt.Errorf("writing blocks: %w", err)
	}
	if err := os.Mkdir(found[0], 0o700); err != nil {
		return fmt.Errorf("writing blocks: %w", err)
	}
	return writeBlocks(found[0], stream, m, count, first, last)
}
