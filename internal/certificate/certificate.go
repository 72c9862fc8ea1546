// Package certificate has the certificate of a listener, in two files that may change at any time.
package certificate

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/internal/smallfile"
)

const (
	// lookEvery is how often a handshake looks at the files at most.
	lookEvery = 2 * time.Second
	// maxPEM bounds each file in bytes.
	maxPEM = 1 << 20
)

// Certificate is a pair of files. While the files cannot be used, e.g. because only one has
// been replaced yet, the last good pair stays. It is safe for concurrent use.
type Certificate struct {
	key               string // of the configuration
	certFile, keyFile string
	every             time.Duration
	log               *zap.Logger
	current           atomic.Pointer[tls.Certificate]

	mu        sync.Mutex // held while looking at the files
	looked    time.Time
	pair      [2][]byte // the content of the files, as in current
	complaint string    // the last one logged
}

// Load reads the files. Configured is the key of the configuration that names them, for
// errors and the log.
func Load(configured, certFile, keyFile string, log *zap.Logger) (*Certificate, error) {
	c := &Certificate{key: configured, certFile: certFile, keyFile: keyFile, every: lookEvery, log: log}
	if _, err := c.read(); err != nil {
		return nil, fmt.Errorf("reading the certificate: %w: check %s", err, configured)
	}
	c.looked = time.Now()
	return c, nil
}

// Config returns what a server needs. It reads the files again within two seconds of a change,
// at the next handshake.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() { // otherwise another handshake looks
		defer c.mu.Unlock()
		if time.Since(c.looked) >= c.every {
			c.look()
			c.looked = time.Now()
		}
	}
	return c.current.Load(), nil
}

func (c *Certificate) look() {
	changed, err := c.read()
	switch {
	case err != nil:
		if text := err.Error(); text != c.complaint {
			c.complaint = text
			c.log.Error("the changed certificate cannot be used, the one before is kept: check its files", zap.String("key", c.key), zap.Error(err))
		}
	case changed:
		c.complaint = ""
		c.log.Info("the certificate was read again", zap.Time("valid_until", c.current.Load().Leaf.NotAfter))
	default:
		c.complaint = ""
	}
}

// read reports whether the files hold a pair other than the current one.
func (c *Certificate) read() (changed bool, err error) {
	cert, err := smallfile.Read(c.certFile, maxPEM)
	if err != nil {
		return false, err
	}
	key, err := smallfile.Read(c.keyFile, maxPEM)
	if err != nil {
		return false, err
	}
	if bytes.Equal(cert, c.pair[0]) && bytes.Equal(key, c.pair[1]) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("%s and %s: %w", c.certFile, c.keyFile, err)
	}
	c.pair = [2][]byte{cert, key}
	c.current.Store(&pair)
	return true, nil
}
