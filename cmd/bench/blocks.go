package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

const (
	// blockBytes is how long a block file of a stream gets.
	blockBytes = 8 * mib
	// recordHead is length, sequence, time and length of the subject.
	recordHead = 4 + 8 + 8 + 2
	// hasHeader is the bit of the length that says so.
	hasHeader = 1 << 31
)

// replaceBlocks makes the stored messages of a stream that no server has open count
// copies of m, as the block files of nats-server. Publishing cannot do that: the messages
// are to be older than the duplicate window. Their times go from the first to the last by
// equal steps. What the server keeps beside the blocks it makes anew when it starts.
func replaceBlocks(data, stream string, m *nats.Msg, count int, first, last time.Time) {
	dir := filepath.Join(data, "nats", "jetstream", ownAccount, "streams", stream, "msgs")
	rig.Check(os.RemoveAll(dir))
	rig.Check(os.Mkdir(dir, 0o700))
	header := natsHeader(m.Header)
	step := last.Sub(first) / time.Duration(count)
	block := make([]byte, 0, blockBytes+len(header)+len(m.Data)+kib)
	for seq, index := 1, 1; seq <= count; index++ {
		key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, index))
		sum := rig.Must(highwayhash.New64(key[:]))
		for block = block[:0]; seq <= count && len(block) < blockBytes; seq++ {
			block = appendRecord(block, sum, uint64(seq), first.Add(time.Duration(seq)*step), m.Subject, header, m.Data)
		}
		rig.Check(os.WriteFile(filepath.Join(dir, strconv.Itoa(index)+".blk"), block, 0o600))
	}
}

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
