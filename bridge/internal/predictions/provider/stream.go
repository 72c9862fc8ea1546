package provider

import (
	"bytes"
	"io"
)

// stream is a streamed body without the key.
type stream struct {
	in  io.ReadCloser
	key []byte
	end func()

	held []byte // read but not yet passed on
	err  error  // of in, returned once held is empty
}

// Read holds back as many bytes as may begin a key, except at a line's end: no key has one.
func (s *stream) Read(p []byte) (int, error) {
	for {
		if n := s.free(); n > 0 {
			n = copy(p, s.held[:n])
			s.held = s.held[n:]
			return n, nil
		}
		if s.err != nil {
			return 0, s.err
		}
		buf := make([]byte, max(len(p), len(s.key)))
		n, err := s.in.Read(buf)
		s.held = Censor(append(s.held, buf[:n]...), s.key)
		s.err = err
	}
}

// free returns how many held bytes can be passed on.
func (s *stream) free() int {
	if s.err != nil || len(s.key) < minSecret {
		return len(s.held)
	}
	return max(bytes.LastIndexByte(s.held, '\n')+1, len(s.held)-len(s.key)+1, 0)
}

func (s *stream) Close() error {
	s.end()
	return s.in.Close()
}
