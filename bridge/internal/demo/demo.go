package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// archiveTimeout is how long the bridge may take to archive everything.
	archiveTimeout = time.Minute
	pollEvery      = 50 * time.Millisecond
)

var errNotArchived = fmt.Errorf("not everything is archived after %v", archiveTimeout)

// demo is one run, used by one goroutine.
type demo struct {
	binary  string
	environ []string
	dir     string
	keep    bool
	out     io.Writer
}

func (d *demo) logPath() string     { return filepath.Join(d.dir, "bridge.log") }
func (d *demo) configPath() string  { return filepath.Join(d.dir, "hookspan.yaml") }
func (d *demo) dataPath() string    { return filepath.Join(d.dir, "data") }
func (d *demo) archivePath() string { return filepath.Join(d.dataPath(), "archive") }

func (d *demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, format+"\n", args...)
}

// run plays the demo from the first webhook to the last count. When it returns,
// nothing that it started is running any more.
func (d *demo) run(ctx context.Context) (table, error) {
	d.say("This runs a bridge and a small provider on free ports of this machine, sends signed webhooks as the\n" +
		"provider does, has it lose some others, and then counts what is in the stream and on the disk.\n")
	secret, key := rand.Text(), rand.Text()
	files, err := startProvider(ctx, secret, key)
	if err != nil {
		return nil, err
	}
	defer files.close()
	if err := d.writeConfig(files.apiURL); err != nil {
		return nil, err
	}
	b, err := startBridge(ctx, d, secret, key)
	if err != nil {
		return nil, err
	}
	defer b.kill()
	d.say("bridge    %s, process %d", b.webhooks, b.pid)
	d.say("outputs   %s", files.base)
	d.say("folder    %s", d.dir)

	p, err := newPlan(files.base, []byte(secret), time.Now())
	if err != nil {
		return nil, err
	}
	files.serve(p)
	var got counts
	started := time.Now()
	announced, err := files.lose(ctx, b, p)
	if err != nil {
		return nil, err
	}
	d.say("announced %d predictions whose webhooks the provider loses", announced)
	if got.answers, err = send(ctx, b.webhooks, p.jobs); err != nil {
		return nil, err
	}
	d.say("sent      %d webhooks, all answered after %v", got.answers.sent, since(started))
	err = d.awaitArchive(ctx, p.want().disk.manifests, b.ended)
	switch {
	case errors.Is(err, errNotArchived):
		d.say("archive   %v", err)
	case err != nil:
		return nil, err
	default:
		d.say("archive   has every output after %v", since(started))
	}
	if got.stream, err = d.countStream(ctx, p, secret); err != nil {
		return nil, err
	}
	if got.withheld, err = d.countWithheld(ctx, b.admin); err != nil {
		return nil, err
	}
	got.lost = files.lostCounts(announced)
	// The disk is counted last: what is there then has outlived the bridge.
	got.exit = b.stop(ctx)
	disk := newDiskCount(p, secret, files.wasLate)
	if err := disk.walk(os.DirFS(d.archivePath())); err != nil {
		return nil, err
	}
	got.disk = disk.result()
	t := newTable(p.want(), got)
	d.sayExample(disk.example, d.keep || len(t.wrong()) > 0)
	return t, nil
}

// awaitArchive returns once every completed prediction has its manifest, which
// the archive writes last.
func (d *demo) awaitArchive(ctx context.Context, want int, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeoutCause(ctx, archiveTimeout, errNotArchived)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		found, err := fs.Glob(os.DirFS(d.archivePath()), "*/*/*/*/*/"+manifestName)
		if err != nil {
			return fmt.Errorf("looking for manifests: %w", err)
		}
		if len(found) >= want {
			return nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return errors.New("the bridge has ended by itself")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sayExample shows where one of the outputs was archived.
func (d *demo) sayExample(file string, stays bool) {
	if file == "" {
		return
	}
	note := " (removed now; -keep leaves it)"
	if stays {
		note = ""
	}
	d.say("for one   %s%s", filepath.Join(d.archivePath(), filepath.FromSlash(file)), note)
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }
