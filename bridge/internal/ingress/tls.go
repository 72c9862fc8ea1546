package ingress

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// certificateEvery is how often a handshake looks at the files at most.
	certificateEvery = 2 * time.Second
	// maxPEM bounds each file in bytes.
	maxPEM = 1 << 20
)

// certificate is a pair of files that may change at any time. While the files cannot be
// used, e.g. because only one has been replaced yet, the last good pair stays. It is safe
// for concurrent use.
type certificate struct {
	certFile, keyFile string
	every             time.Duration
	log               *zap.Logger
	current           atomic.Pointer[tls.Certificate]

	mu        sync.Mutex // held while looking at the files
	looked    time.Time
	cert, key []byte // as in current
	complaint string // the last one logged
}

func loadCertificate(certFile, keyFile string, log *zap.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, every: certificateEvery, log: log}
	if _, err := c.read(); err != nil {
		return nil, fmt.Errorf("the certificate for webhooks: %w: check ingress.tls", err)
	}
	c.looked = time.Now()
	return c, nil
}

// CheckCertificate returns an error when a server could not use the files.
func CheckCertificate(certFile, keyFile string) error {
	_, err := loadCertificate(certFile, keyFile, zap.NewNop())
	return err
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() { // otherwise another handshake looks
		defer c.mu.Unlock()
		if time.Since(c.looked) >= c.every {
			c.look()
			c.looked = time.Now()
		}
	}
	return c.current.Load(), nil
}

func (c *certificate) look() {
	changed, err := c.read()
	switch {
	case err != nil:
		if text := err.Error(); text != c.complaint {
			c.complaint = text
			c.log.Error("the changed certificate cannot be used, the one before is kept: check the files of ingress.tls", zap.Error(err))
		}
	case changed:
		c.complaint = ""
		c.log.Info("the certificate was read again", zap.Time("valid_until", c.current.Load().Leaf.NotAfter))
	default:
		c.complaint = ""
	}
}

// read reports whether the files hold a pair other than the current one.
func (c *certificate) read() (changed bool, err error) {
	cert, err := readPEM(c.certFile)
	if err != nil {
		return false, err
	}
	key, err := readPEM(c.keyFile)
	if err != nil {
		return false, err
	}
	if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("%s and %s: %w", c.certFile, c.keyFile, err)
	}
	c.cert, c.key = cert, key
	c.current.Store(&pair)
	return true, nil
}

func readPEM(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxPEM)
	}
	return text, nil
}
