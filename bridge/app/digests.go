package app

import (
	"crypto/sha256"
	"io"
	"os"

	"github.com/hookspan/hookspan/bridge/config"
)

// digests are the contents of files, by path.
type digests map[string][sha256.Size]byte

// add reads the files. One that cannot be read has the digest of the reason.
func (d digests) add(paths ...string) {
	for _, path := range paths {
		if path == "" {
			continue
		}
		d[path] = digest(path)
	}
}

// only keeps the paths, and adds those that are missing.
func (d digests) only(paths []string) digests {
	out := digests{}
	for _, path := range paths {
		if sum, ok := d[path]; ok {
			out[path] = sum
		} else {
			out.add(path)
		}
	}
	return out
}

func digest(path string) [sha256.Size]byte {
	// A pipe gives what it has once, and only to whom it is meant for.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return sha256.Sum256([]byte("no regular file"))
	}
	f, err := os.Open(path)
	if err != nil {
		return sha256.Sum256([]byte(err.Error()))
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	// No more is ever read of either kind of file.
	if _, err := io.Copy(hash, io.LimitReader(f, config.MaxConfigBytes+1)); err != nil {
		return sha256.Sum256([]byte(err.Error()))
	}
	return [sha256.Size]byte(hash.Sum(nil))
}
