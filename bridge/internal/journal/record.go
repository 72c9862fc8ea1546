package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Record is one message on its way to a stream.
type Record struct {
	// Sequence is given by Append. It is never given twice, also not by another process. Later
	// records have higher ones, with gaps.
	Sequence uint64
	// At is when the record was appended, by this machine's clock; an At that is set before stays.
	At time.Time
	// Stream is where the record goes, Subject what it is published on.
	Stream  string
	Subject string
	// Header has the message id (bridge.HeaderMsgID).
	Header map[string][]string
	// Body must not be changed: records that are read may share it.
	Body []byte
}

// A record on the disk, little-endian:
//
//	 0 magic     "HSJ" and the version
//	 4 checksum  CRC-32C over everything else
//	 8 mark      of its generation
//	16 sequence
//	24 before    how many records of its batch are before it
//	28 lengths   stream 2, subject 2, header 4, body 4
//	40 at        Unix time in nanoseconds
//	48 stream, subject, header, body
//
// The mark is random and leaves this machine only with the folder, so that nobody can put
// into a body what would pass for a record once the record around it is damaged.
const (
	magic      = 0x314a5348
	prefixLen  = 48
	stampStart = 8
	stampEnd   = 28
	maxRecord  = 16 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged: the bytes are not the record that was written.
var errDamaged = errors.New("the record is damaged")

// encoded is a record that waits for its sequence.
type encoded struct {
	data []byte
	// sum covers everything but the stamp and the checksum, so that the committer adds 20
	// bytes to it and does not read the body.
	sum uint32
}

// encode returns r without its sequence. The error wraps [bridge.ErrTooLarge].
func encode(r *Record, at time.Time) (encoded, error) {
	header := headerLen(r.Header)
	size := prefixLen + len(r.Stream) + len(r.Subject) + header + len(r.Body)
	if size > maxRecord || max(len(r.Stream), len(r.Subject)) > math.MaxUint16 {
		return encoded{}, fmt.Errorf("appending to the journal: %w: the record for %.200s has %d bytes, the journal takes %d", bridge.ErrTooLarge, r.Subject, size, maxRecord)
	}
	b := make([]byte, prefixLen, size)
	binary.LittleEndian.PutUint32(b, magic)
	binary.LittleEndian.PutUint64(b[40:], uint64(at.UnixNano()))
	binary.LittleEndian.PutUint16(b[28:], uint16(len(r.Stream)))
	binary.LittleEndian.PutUint16(b[30:], uint16(len(r.Subject)))
	binary.LittleEndian.PutUint32(b[32:], uint32(header))
	binary.LittleEndian.PutUint32(b[36:], uint32(len(r.Body)))
	b = append(append(b, r.Stream...), r.Subject...)
	for key, values := range r.Header {
		b = appendString(b, key)
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, value := range values {
			b = appendString(b, value)
		}
	}
	b = append(b, r.Body...)
	return encoded{data: b, sum: unstamped(b)}, nil
}

// unstamped is the checksum of everything but the stamp.
func unstamped(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, b[stampEnd:])
}

// stamp gives the record its place. It may be called again with another one.
func (e encoded) stamp(mark, sequence uint64, before int) {
	binary.LittleEndian.PutUint64(e.data[8:], mark)
	binary.LittleEndian.PutUint64(e.data[16:], sequence)
	binary.LittleEndian.PutUint32(e.data[24:], uint32(before))
	binary.LittleEndian.PutUint32(e.data[4:], crc32.Update(e.sum, castagnoli, e.data[stampStart:stampEnd]))
}

// recordLen is the length of the record that begins b, which has at least prefixLen bytes; 0
// when no record of this mark begins there.
func recordLen(b []byte, mark uint64) int {
	if binary.LittleEndian.Uint32(b) != magic || binary.LittleEndian.Uint64(b[8:]) != mark {
		return 0
	}
	header, body := binary.LittleEndian.Uint32(b[32:]), binary.LittleEndian.Uint32(b[36:])
	if header > maxRecord || body > maxRecord {
		return 0
	}
	size := prefixLen + int(binary.LittleEndian.Uint16(b[28:])) + int(binary.LittleEndian.Uint16(b[30:])) + int(header) + int(body)
	if size > maxRecord {
		return 0
	}
	return size
}

// intact reports whether the checksum of a whole record holds.
func intact(b []byte) bool {
	return crc32.Update(unstamped(b), castagnoli, b[stampStart:stampEnd]) == binary.LittleEndian.Uint32(b[4:])
}

func sequenceOf(b []byte) uint64 { return binary.LittleEndian.Uint64(b[16:]) }

// batchOf is the first sequence of what was synced together with the record.
func batchOf(b []byte) uint64 { return sequenceOf(b) - uint64(binary.LittleEndian.Uint32(b[24:])) }

func markOf(b []byte) uint64 { return binary.LittleEndian.Uint64(b[8:]) }

func timeOf(b []byte) time.Time {
	return time.Unix(0, int64(binary.LittleEndian.Uint64(b[40:]))).UTC()
}

// decode returns the record that is exactly b. Its body is a part of b. The error is
// errDamaged.
func decode(b []byte, mark uint64) (Record, error) {
	if len(b) < prefixLen || recordLen(b, mark) != len(b) || !intact(b) {
		return Record{}, errDamaged
	}
	r := Record{Sequence: sequenceOf(b), At: timeOf(b)}
	stream, subject := int(binary.LittleEndian.Uint16(b[28:])), int(binary.LittleEndian.Uint16(b[30:]))
	header := int(binary.LittleEndian.Uint32(b[32:]))
	rest := b[prefixLen:]
	r.Stream, rest = string(rest[:stream]), rest[stream:]
	r.Subject, rest = string(rest[:subject]), rest[subject:]
	var ok bool
	if r.Header, ok = decodeHeader(rest[:header]); !ok {
		return Record{}, errDamaged
	}
	r.Body = rest[header:len(rest):len(rest)]
	return r, nil
}
