package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
)

const (
	archivedOutputs = 16
	archivedBytes   = 64 * mib
	// archivedAtOnce is how many events an archive handles at once, by default.
	archivedAtOnce = 4
	archivedBar    = 400 // MiB/s
	archivedTick   = 5 * time.Millisecond
	// archivedSpace is what the disk must have: the outputs twice, and what the
	// archive leaves free for the store.
	archivedSpace = 2*archivedOutputs*archivedBytes + 2*gib
)

// archived is what one round gave: MiB/s of the archive and of a plain client, and
// the most memory of the bridge in bytes.
type archived struct {
	rate, plain, memory float64
}

func (a archived) ofRate() float64   { return a.rate }
func (a archived) ofPlain() float64  { return a.plain }
func (a archived) ofShare() float64  { return a.rate / a.plain }
func (a archived) ofMemory() float64 { return a.memory }

// measureArchived has a bridge archive several outputs, and a plain client keep the
// same.
func (b *bench) measureArchived(ctx context.Context) (f finding, err error) {
	free, err := freeSpace(b.dir)
	if err != nil {
		return f, err
	}
	if free < archivedSpace {
		f.text = fmt.Sprintf("Not measured: the disk has %s free, this needs %s.", inMiB(free), inMiB(int64(archivedSpace)))
		return f, nil
	}
	want := newContent(archivedBytes)
	addr, hangUp, err := listenLocally(ctx, want)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, hangUp()) }()
	var all []archived
	for round := range b.rounds {
		b.progress("round %d of %d", round+1, b.rounds)
		one, err := b.archivedRound(ctx, round, "http://"+addr+"/output.bin", want)
		if err != nil {
			return f, fmt.Errorf("round %d: %w", round+1, err)
		}
		all = append(all, one)
	}
	rate, memory := over(all, archived.ofRate), over(all, archived.ofMemory)
	f.text = fmt.Sprintf("%d predictions with one output of %s each, from a server on the same machine, %d at once, until the last manifest is on the disk: `hookspan serve` with a consumer of kind archive in a process of its own. "+
		"**plain** is a client that reads the same outputs, as many at once, hashes them (SHA-256), writes and syncs them. Every manifest was compared with what was sent.", archivedOutputs, inMiB(int64(archivedBytes)), archivedAtOnce)
	f.head = []string{" way", "MiB/s", "to plain", "memory"}
	f.row("archive", integer(rate), percent(over(all, archived.ofShare)), mibs(memory))
	f.row("plain", integer(over(all, archived.ofPlain)), "", "")
	f.atLeast(rate, archivedBar, 0, "outputs from a server on the same machine to the archive: at least 400 MiB/s", integer(rate)+" MiB/s")
	f.under(memory, consumeMemoryBar, "archiving outputs: never over 96 MiB", mibs(memory))
	return f, nil
}

func (b *bench) archivedRound(ctx context.Context, round int, address string, want content) (one archived, err error) {
	dir := b.inDir("archived")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := b.startBridge(ctx, bridgeConfig{
		dir: dir, more: `consumers: {archive: {kind: archive, hosts: ["127.0.0.1"], allow_private: true}}`,
	})
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	for turn := range 2 {
		var took time.Duration
		if (round+turn)%2 == 0 {
			if took, err = c.archiveAll(ctx, address, want); err != nil {
				return one, c.explain(err)
			}
			one.rate = archivedOutputs * archivedBytes / mib / took.Seconds()
			continue
		}
		if took, err = keepAll(ctx, dir, address, want); err != nil {
			return one, err
		}
		one.plain = archivedOutputs * archivedBytes / mib / took.Seconds()
	}
	peak, err := c.size("VmHWM")
	one.memory = float64(peak)
	return one, err
}

// archiveAll posts a webhook for each output, waits for the manifests, and compares
// what they say.
func (c *child) archiveAll(ctx context.Context, address string, want content) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, outputTimeout)
	defer cancel()
	completed := time.Now()
	p, err := newPool(archivedOutputs, newWebhook(bridge.StatusCompleted, []string{address}, "", completed))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	p.renew(p.count)
	begin := time.Now()
	if _, err := c.load(ctx, 1, p, window{measured: outputTimeout}); err != nil {
		return 0, err
	}
	texts := make([][]byte, p.count)
	for i := range texts {
		for texts[i] == nil {
			if texts[i], err = os.ReadFile(c.manifest(p.id(i), completed)); err == nil {
				continue
			}
			if err := pause(ctx, archivedTick); err != nil {
				return 0, fmt.Errorf("waiting for the manifest: %w", err)
			}
		}
	}
	took = time.Since(begin)
	for _, text := range texts {
		if err := want.check(text); err != nil {
			return 0, err
		}
	}
	return took, nil
}

// keepAll keeps as many outputs in dir without a bridge.
func keepAll(ctx context.Context, dir, address string, want content) (time.Duration, error) {
	begin := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(archivedAtOnce)
	for i := range archivedOutputs {
		group.Go(func() error { return keep(ctx, filepath.Join(dir, strconv.Itoa(i)), address, want) })
	}
	err := group.Wait()
	return time.Since(begin), err
}

// keep downloads an output into a file, syncs it and compares its hash.
func keep(ctx context.Context, name, address string, want content) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("asking for an output: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking for an output: %w", err)
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("keeping an output: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(file, hash), answer.Body); err != nil {
		return fmt.Errorf("keeping an output: %w", err)
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); sum != want.sum {
		return fmt.Errorf("keeping an output: its SHA-256 is %s, it should be %s", sum, want.sum)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("keeping an output: %w", err)
	}
	return nil
}
