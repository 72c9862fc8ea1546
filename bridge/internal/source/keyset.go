package source

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// FetchKeys returns the document at the address, of at most [MaxKeys] bytes.
type FetchKeys func(ctx context.Context, url string) ([]byte, error)

const (
	// MaxKeys bounds a document of keys, in bytes.
	MaxKeys = 64 << 10
	// maxKeyCount bounds its keys.
	maxKeyCount = 64
	// keysLife is how long keys count: fal says at most a day.
	keysLife = 24 * time.Hour
	// keysAge is the age from which keys are fetched again before a delivery is refused: the
	// sender may have rotated them.
	keysAge = time.Minute
	// keysTimeout bounds one fetch. It is below the deadline of a delivery.
	keysTimeout = 3 * time.Second
)

// keySet has the public keys of a sender, fetched when they are needed and at most once in
// keysAge. It is safe for concurrent use.
type keySet struct {
	url   string
	fetch FetchKeys
	now   func() time.Time

	loading chan struct{} // has room for the one who fetches, which serves all who wait
	mu      sync.Mutex    // of what follows
	keys    []ed25519.PublicKey
	fetched time.Time // when keys were fetched
	tried   time.Time // when a fetch last began
	err     error     // of that fetch
}

// try returns nil when a key fits, [ErrNotAuthentic] when none of the sender's keys does, and an
// error that wraps [ErrNoKeys] when the keys cannot be had.
func (s *keySet) try(fits func(ed25519.PublicKey) bool) error {
	keys, fetched := s.get()
	if s.now().Sub(fetched) > keysLife {
		keys = nil
	}
	if slices.ContainsFunc(keys, fits) {
		return nil
	}
	// The sender may have rotated its keys.
	newer, err := s.newerThan(fetched)
	switch {
	case slices.ContainsFunc(newer, fits):
		return nil
	case err != nil && len(keys) == 0:
		return fmt.Errorf("%w: %w", ErrNoKeys, err)
	}
	return ErrNotAuthentic
}

func (s *keySet) get() ([]ed25519.PublicKey, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys, s.fetched
}

var errNoFetch = errors.New("nothing fetches them here")

// newerThan returns keys that were fetched after the time, nil without an error when that was a
// moment ago.
func (s *keySet) newerThan(known time.Time) ([]ed25519.PublicKey, error) {
	s.loading <- struct{}{}
	defer func() { <-s.loading }()
	s.mu.Lock()
	keys, fetched, tried, err := s.keys, s.fetched, s.tried, s.err
	s.mu.Unlock()
	now := s.now()
	switch {
	case fetched.After(known): // another delivery has fetched them
		return keys, nil
	case now.Sub(tried) < keysAge:
		return nil, err
	case s.fetch == nil:
		return nil, errNoFetch
	}
	ctx, cancel := context.WithTimeout(context.Background(), keysTimeout)
	defer cancel()
	document, err := s.fetch(ctx, s.url)
	if err == nil {
		keys, err = parseKeys(document)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried, s.err = now, err
	if err != nil {
		return nil, err
	}
	s.keys, s.fetched = keys, now
	return keys, nil
}

// parseKeys reads the Ed25519 keys of a JSON Web Key Set (RFC 7517, RFC 8037), and leaves out
// others.
func parseKeys(document []byte) ([]ed25519.PublicKey, error) {
	if len(document) > MaxKeys {
		return nil, fmt.Errorf("the document of keys has more than %d bytes", MaxKeys)
	}
	var set struct {
		Keys []struct {
			Type  string `json:"kty"`
			Curve string `json:"crv"`
			X     string `json:"x"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("reading the document of keys: %w", err)
	}
	var keys []ed25519.PublicKey
	for _, k := range set.Keys[:min(len(set.Keys), maxKeyCount)] {
		raw, err := base64.RawURLEncoding.DecodeString(k.X)
		if k.Type == "OKP" && k.Curve == "Ed25519" && err == nil && len(raw) == ed25519.PublicKeySize {
			keys = append(keys, raw)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the document of keys has no Ed25519 key")
	}
	return keys, nil
}
