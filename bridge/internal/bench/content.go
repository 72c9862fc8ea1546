package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"
)

// content is an output of random bytes that costs its server next to nothing: one
// MiB again and again.
type content struct {
	chunk []byte
	bytes int
	sum   string // SHA-256 in hex
}

// newContent has so many bytes, whole MiB.
func newContent(bytes int) content {
	c := content{chunk: make([]byte, mib), bytes: bytes}
	_, _ = rand.NewChaCha8([32]byte{}).Read(c.chunk) // never fails
	hash := sha256.New()
	for range bytes / mib {
		hash.Write(c.chunk)
	}
	c.sum = hex.EncodeToString(hash.Sum(nil))
	return c
}

func (c content) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(c.bytes))
	for range c.bytes / mib {
		if _, err := w.Write(c.chunk); err != nil {
			return // the client hung up, and will miss it
		}
	}
}

// check returns nil when the manifest says of its one output what it is.
func (c content) check(manifest []byte) error {
	var m struct {
		Outputs []struct {
			Bytes  int64  `json:"bytes"`
			SHA256 string `json:"sha256"`
			Error  string `json:"error"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return fmt.Errorf("reading the manifest: %w", err)
	}
	if len(m.Outputs) != 1 || m.Outputs[0].Bytes != int64(c.bytes) || m.Outputs[0].SHA256 != c.sum {
		return fmt.Errorf("the manifest says %+v: it should say %d bytes with SHA-256 %s", m.Outputs, c.bytes, c.sum)
	}
	return nil
}

// manifest is the file that is there once the prediction is archived.
func (c *child) manifest(prediction string, completed time.Time) string {
	return filepath.Join(c.data, "archive", sourceName, completed.UTC().Format("2006/01/02"), prediction, "manifest.json")
}

// listenLocally serves on a free port of this machine until close is called.
func listenLocally(ctx context.Context, h http.Handler) (addr string, hangUp func() error, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("serving what the bridge asks for: %w", err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: startTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return listener.Addr().String(), func() error {
		err := server.Close()
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, fmt.Errorf("serving what the bridge asks for: %w", ended))
		}
		return err
	}, nil
}
