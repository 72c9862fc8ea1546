package backup

import (
	"hash"
	"io"
)

// summed counts and sums what is written.
type summed struct {
	to   io.Writer
	hash hash.Hash
	n    int64
}

func (s *summed) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	s.n += int64(n)
	_, _ = s.hash.Write(p[:n]) // never fails
	return n, err
}
