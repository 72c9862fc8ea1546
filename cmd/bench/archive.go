package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

func archiving() scenario {
	const (
		outputs = 16
		size    = 64 * mib
		atOnce  = 4 // what an archive handles at once by default
	)
	rate := func(took time.Duration) float64 { return outputs * size / mib / took.Seconds() }
	return scenario{
		name: "archive", title: "Archiving outputs",
		missing: needsSpace(2*outputs*size + 2*gib), // the outputs twice, and what the archive leaves free
		begin: func(_ *bench, r *rig.Rig) [][]way {
			want := newContent(size)
			url := r.Serve(want) + "/output.bin"
			return [][]way{{
				{"archive", func(r *rig.Rig) metrics {
					bridge := startBridge(r, rig.BridgeConfig{More: rig.ArchiveHere})
					took := want.archive(r, bridge, url, outputs, func() {})
					return metrics{"rate": rate(took), "peak": peak(bridge.Process)}
				}},
				{"plain", func(r *rig.Rig) metrics {
					begin := time.Now()
					group, ctx := errgroup.WithContext(r.Context())
					group.SetLimit(atOnce)
					for i := range outputs {
						group.Go(func() error { return want.keep(ctx, r.Path(strconv.Itoa(i)), url) })
					}
					rig.Check(group.Wait())
					return metrics{"rate": rate(time.Since(begin))}
				}},
			}}
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{" way", "MiB/s", "to plain", "memory"}
			s.row("archive", integer(d.of("archive rate")), percent(d.ratio("archive rate", "plain rate")), mibs(d.of("archive peak")))
			s.row("plain", integer(d.of("plain rate")), "", "")
			s.atLeast(400, d.of("archive rate"), mibPerSecond, "outputs from a server on the same machine to the archive: at least 400 MiB/s")
			s.under(consumeMemory, d.of("archive peak"), mibs, "archiving outputs: never over 96 MiB")
		},
	}
}

func largeOutput() scenario {
	const size = gib
	return scenario{
		name: "output", title: "A large output", rounds: 1,
		missing: needsSpace(size + 2*gib), // the output, and what the archive leaves free
		begin: func(_ *bench, r *rig.Rig) [][]way {
			want := newContent(size)
			url := r.Serve(want) + "/output.bin"
			return alone(func(r *rig.Rig) metrics {
				bridge := startBridge(r, rig.BridgeConfig{More: rig.ArchiveHere})
				sendOne(r, bridge)
				before, most := settled(r, bridge.Process)[0], 0.0
				took := want.archive(r, bridge, url, 1, func() { most = max(most, resident(bridge.Process)) })
				return metrics{"took": took.Seconds(), "rate": size / mib / took.Seconds(), "before": before, "most": most, "growth": max(0, most-before)}
			})
		},
		report: func(_ *bench, d data, s *section) {
			s.row("archived in", once("%.1f s, ")(d.of("took"))+once("%.0f MiB/s")(d.of("rate")))
			s.row("memory before, most", once("%.0f MiB, ")(d.of("before"))+once("%.0f MiB")(d.of("most")))
			s.under(32, d.of("growth"), once("%.0f MiB"), "an output of 1 GiB grows the memory by less than 32 MiB")
		},
	}
}

// content is an output of random bytes that is cheap to serve: one MiB again and again.
type content struct {
	chunk []byte
	size  int
	sum   string // SHA-256 in hex
}

// newContent has so many bytes, whole MiB.
func newContent(size int) content {
	c := content{chunk: make([]byte, mib), size: size}
	_, _ = rand.NewChaCha8([32]byte{}).Read(c.chunk) // never fails
	hash := sha256.New()
	for range size / mib {
		hash.Write(c.chunk)
	}
	c.sum = hex.EncodeToString(hash.Sum(nil))
	return c
}

func (c content) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(c.size))
	for range c.size / mib {
		if _, err := w.Write(c.chunk); err != nil {
			return // the client hung up, and will miss it
		}
	}
}

const archiveTick = 5 * time.Millisecond

// archive sends webhooks with this output, and returns how long it took until all their
// manifests were there. It calls look again and again meanwhile.
func (c content) archive(r *rig.Rig, bridge *rig.Bridge, url string, n int, look func()) (took time.Duration) {
	completed := time.Now().UTC()
	p := r.NewPool(n, completedWebhook(url))
	begin := time.Now()
	sendAll(bridge, 1, p)
	texts := make([][]byte, n)
	for i := range texts {
		// The day is that of the webhook, which was made just now.
		file := filepath.Join(bridge.Data, "archive", rig.SourceName, completed.Format("2006/01/02"), p.ID(i), "manifest.json")
		rig.Check(r.Until("the output is archived", patience, archiveTick, func(context.Context) (ok bool) {
			look()
			text, err := os.ReadFile(file)
			texts[i] = text
			return err == nil
		}))
	}
	took = time.Since(begin)
	for _, text := range texts {
		c.check(text)
	}
	return took
}

func (c content) check(manifest []byte) {
	var m struct {
		Outputs []struct {
			Bytes  int    `json:"bytes"`
			SHA256 string `json:"sha256"`
			Error  string `json:"error"`
		} `json:"outputs"`
	}
	rig.Check(json.Unmarshal(manifest, &m))
	if len(m.Outputs) != 1 || m.Outputs[0].Bytes != c.size || m.Outputs[0].SHA256 != c.sum {
		rig.Check(fmt.Errorf("the manifest says %+v: it should say %d bytes with SHA-256 %s", m.Outputs, c.size, c.sum))
	}
}

// keep downloads the output into a file, syncs it and compares its hash.
func (c content) keep(ctx context.Context, name, url string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking for an output: %w", err)
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(file, hash), answer.Body); err != nil {
		return fmt.Errorf("keeping an output: %w", err)
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); sum != c.sum {
		return fmt.Errorf("keeping an output: its SHA-256 is %s, not %s", sum, c.sum)
	}
	return file.Sync()
}
