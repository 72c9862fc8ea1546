package journal

import (
	"errors"
	"io"
	"syscall"
)

// Frames of a segment are aligned, and so are the records in them.
const alignment = 8

// window is how much of a segment is read at once.
const window = 256 << 10

// scanner finds the intact records of one segment. It does not follow the frames but looks
// for records at every place where one may begin: whatever is damaged costs only the records
// that it hit. The tail of a segment that is written to may be scanned at the same time.
type scanner struct {
	file io.ReaderAt
	mark uint64
	buf  []byte
	at   int   // in buf, where to look next
	off  int64 // in the file, of buf
	full bool  // buf reaches the end of the file
	// unreadable is why something was passed over; nil when all could be read.
	unreadable error
}

// position is the offset in the file where next looks.
func (s *scanner) position() int64 { return s.off + int64(s.at) }

// seek has next look at an offset. What was read ahead is read again, as it may have been
// written meanwhile.
func (s *scanner) seek(off int64) {
	s.off, s.at, s.buf, s.full = off, 0, s.buf[:0], false
}

// next returns the next intact record, which is valid until the next call, and where it
// begins. It returns nil at the end of the file.
func (s *scanner) next() (record []byte, begins int64, err error) {
	for {
		rest, err := s.need(prefixLen)
		if err != nil || len(rest) < prefixLen {
			return nil, s.position(), err
		}
		if size := recordLen(rest, s.mark); size > 0 {
			if rest, err = s.need(size); err != nil {
				return nil, s.position(), err
			}
			if len(rest) >= size && intact(rest[:size]) {
				begins = s.position()
				s.at += (size + alignment - 1) / alignment * alignment // may lie behind buf
				return rest[:size:size], begins, nil
			}
		}
		s.at += alignment
	}
}

// need returns what is read from here on, at least size bytes unless the file ends.
func (s *scanner) need(size int) ([]byte, error) {
	switch {
	case s.full:
		return s.buf[min(s.at, len(s.buf)):], nil
	case len(s.buf)-s.at >= size:
		return s.buf[s.at:], nil
	}
	s.off += int64(s.at)
	want := max(size, window)
	if cap(s.buf) < want {
		s.buf = make([]byte, 0, want)
	}
	s.at, s.buf = 0, s.buf[:want]
	n, err := s.file.ReadAt(s.buf, s.off)
	if errors.Is(err, syscall.EIO) {
		s.unreadable = err
		n, err = readBlocks(s.file, s.buf, s.off)
	}
	s.buf = s.buf[:n]
	if errors.Is(err, io.EOF) {
		s.full, err = true, nil
	}
	return s.buf, err
}

// readBlocks reads what can be read, a block at a time: the disk may have lost one sector.
// What cannot be read is zero.
func readBlocks(file io.ReaderAt, buf []byte, off int64) (n int, err error) {
	const block = 4096
	for n < len(buf) {
		part := buf[n:min(n+block-int(off+int64(n))%block, len(buf))]
		read, err := file.ReadAt(part, off+int64(n))
		if errors.Is(err, syscall.EIO) {
			clear(part)
			read, err = len(part), nil
		}
		n += read
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
