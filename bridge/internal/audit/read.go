package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	readBlock = 64 << 10
	// maxLine is more than any line has, in bytes.
	maxLine = 16 << 10
	// maxSequence is more than any line ever has.
	maxSequence = 1 << 62
)

// newest returns at most limit changes before the sequence, zero for any, out of files of which
// the newest comes first, and closes them. Lines that are none are left out.
func newest(files []file, before uint64, limit int) (changes []adminapi.Change, err error) {
	for _, f := range files {
		if err == nil && len(changes) < limit {
			err = backwards(f, func(line []byte) bool {
				if seq, ok := sequence(line); !ok || before > 0 && seq >= before {
					return true
				}
				var c adminapi.Change
				if json.Unmarshal(line, &c) == nil {
					changes = append(changes, c)
				}
				return len(changes) < limit
			})
		}
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return changes, fmt.Errorf("reading the audit: %w", err)
	}
	return changes, nil
}

// sequence reads the sequence alone, with which every line begins.
func sequence(line []byte) (uint64, bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"seq":`))
	digits, _, found := bytes.Cut(rest, []byte(","))
	if !ok || !found {
		return 0, false
	}
	seq, err := strconv.ParseUint(string(digits), 10, 64)
	return seq, err == nil && seq > 0 && seq < maxSequence
}

// backwards calls each with the lines of a file from the last one on, until each returns false.
func backwards(f file, each func(line []byte) bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var rest []byte // of the line that began before the last block
	for end := info.Size(); end > 0; {
		n := min(end, readBlock)
		end -= n
		block := make([]byte, n, n+int64(len(rest)))
		if _, err := f.ReadAt(block, end); err != nil {
			return err
		}
		block = append(block, rest...)
		for i := bytes.LastIndexByte(block, '\n'); i >= 0; i = bytes.LastIndexByte(block, '\n') {
			if !each(block[i+1:]) {
				return nil
			}
			block = block[:i]
		}
		if len(block) > maxLine {
			block = block[:maxLine] // whatever it is, it is no line
		}
		rest = block
	}
	each(rest)
	return nil
}
