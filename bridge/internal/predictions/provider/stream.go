package provider

import (
	"bytes"
	"io"
)

// stream is the body of an answer that goes on, without the key.
type stream struct {
	in  io.ReadCloser
	key []byte
	end func()

	held []byte // was read, and was not given on
	err  error  // of in, once held is all that is left
}

// Read holds as many bytes back as the beginning of a key could have, unless a line
// ends there, which no key does.
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

// free is how much of what is held can be given on.
func (s *stream) free() int {
	if s.err != nil || len(s.key) < minSecret {
		return len(s.held)
	}
	return max(bytes.LastIndexByte(s.held, '\n')+1, len(s.held)-len(s.key)+1, 0)
}

// Close ends the request.
func (s *stream) Close() error {
	s.end()
	return s.in.Close()
}
