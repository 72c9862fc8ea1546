package app

import (
	"crypto/sha256"
	"io"
	"os"

	"github.com/hookspan/hookspan/bridge/config"
)

type digests map[string][sha256.Size]byte

// add digests the files. A file that cannot be read has the digest of the error.
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
	// A pipe gives its content once, and only to its one reader.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return sha256.Sum256([]byte("no regular file"))
	}
	f, err := os.Open(path)
	if err != nil {
		return sha256.Sum256([]byte(err.Error()))
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	// Nothing reads more of a configuration or a secret.
	if _, err := io.Copy(hash, io.LimitReader(f, config.MaxConfigBytes+1)); err != nil {
		return sha256.Sum256([]byte(err.Error()))
	}
	return [sha256.Size]byte(hash.Sum(nil))
}
