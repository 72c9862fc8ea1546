package app

import (
	"errors"
	"fmt"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/bridge/config"
)

// diskMargin stays free beyond what the store may need, for everything else on the disk, in
// bytes.
const diskMargin = 64 << 20

func (s *store) warnOfSmallDisk() {
	need, err := s.embedded.StoreBytes()
	if err != nil {
		s.log.Error("the space that events may need is unknown", zap.Error(err))
		return
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(s.cfg.DataDir, &fs); err != nil {
		s.log.Error("the free space of the disk is unknown", zap.Error(err))
		return
	}
	if free := int64(fs.Bavail) * int64(fs.Bsize); free < need+diskMargin { //nolint:unconvert // it is 32 bits wide on other systems
		s.log.Warn("the disk is smaller than events may need: set nats.events.max_bytes lower, or give the data folder more room",
			zap.Stringer("free", config.ByteSize(free)), zap.Stringer("events_may_need", config.ByteSize(need)))
	}
}

func (s *store) reserve(dir string) func() (int64, error) {
	return func() (int64, error) {
		shared, err := sameDisk(dir, s.cfg.DataDir)
		if err != nil || !shared {
			return diskMargin, err
		}
		need := int64(diskMargin)
		if s.embedded != nil {
			events, err := s.embedded.StoreBytes()
			if err != nil {
				return 0, err
			}
			need += events
		}
		if s.journal != nil {
			state := s.journal.State()
			need += max(0, state.MaxBytes-state.Bytes-state.SetAsideBytes)
		}
		return need, nil
	}
}

func sameDisk(a, b string) (bool, error) {
	var sa, sb unix.Stat_t
	if err := errors.Join(unix.Stat(a, &sa), unix.Stat(b, &sb)); err != nil {
		return false, fmt.Errorf("comparing the disks of %s and %s: %w", a, b, err)
	}
	return sa.Dev == sb.Dev, nil
}
