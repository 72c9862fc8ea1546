package journal

import (
	"os"
	"time"

	"go.uber.org/zap"
)

// keep writes the position down and trims, at most once a second while something changes, and
// when a segment ends: so what is not written down never spans more than a segment.
func (j *Journal) keep() {
	defer close(j.kept)
	for {
		select {
		case <-j.dirty:
		case <-j.rotated:
		case <-j.closing:
			return
		}
		err := j.writeAndTrim()
		j.mu.Lock()
		before := j.unwritten
		j.unwritten = err
		j.mu.Unlock()
		if err != nil && before == nil {
			j.cfg.Log.Error("journal: position not written", zap.Error(err))
			j.Look()
		}
		if err != nil {
			j.wake(j.dirty)
		}
		pause := time.NewTimer(j.cfg.interval)
		select {
		case <-pause.C:
		case <-j.rotated:
			j.wake(j.dirty)
		case <-j.closing:
		}
		pause.Stop()
	}
}

// writeAndTrim writes the position down. Only what is written down as settled is removed: else
// the next process would miss it. A disk without room comes first, as nothing but trimming makes
// some.
func (j *Journal) writeAndTrim() error {
	j.trimming.Lock()
	defer j.trimming.Unlock()
	settled, err := j.writePosition()
	if err == nil || isNoRoom(err) {
		j.trim(settled)
	}
	if isNoRoom(err) {
		_, err = j.writePosition()
	}
	return err
}

// changed reports whether something was not written down yet.
func (j *Journal) changed() bool {
	select {
	case <-j.dirty:
		return true
	case <-j.rotated:
		return true
	default:
		return false
	}
}

// trim removes what is settled. What it cannot remove the next process tries again.
func (j *Journal) trim(settled uint64) {
	j.mu.Lock()
	kept, files, folders := trimmed(j.generations, settled)
	j.generations = kept
	j.mu.Unlock()
	for _, file := range files {
		if err := j.cfg.vfs.Delete(j.path(file.generation), file.file); err != nil && !os.IsNotExist(err) {
			j.warn("removing a segment", err)
		}
	}
	if len(folders) > 0 {
		j.removeFolders(folders...)
	}
}

func (j *Journal) removeFolders(folders ...string) {
	for _, folder := range folders {
		if err := os.RemoveAll(j.path(folder)); err != nil {
			j.warn("removing a generation", err)
		}
	}
	if err := syncDir(j.dir); err != nil {
		j.warn("syncing the folder", err)
	}
}
