// Command demo shows what Hookspan does, from a webhook to the file on the disk:
// it runs a bridge and a small provider on free ports of this machine, sends
// webhooks as the provider does, good and bad ones, has it lose others, and then
// counts what the stream and the disk hold. It exits 0 only if every count is right.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

const demoTimeout = 2 * time.Minute

func main() { rig.Main(nil, run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	binary := flags.String("hookspan", filepath.Join("bin", "hookspan"), "the `program` to show")
	keep := flags.Bool("keep", false, "leave the folder with the archive and the log, to look around in")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return rig.ExitRight
		}
		return rig.ExitUsage
	}
	right, err := show(ctx, *binary, *keep, stdout)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "demo:", err)
	}
	if err != nil || !right {
		return rig.ExitWrong
	}
	return rig.ExitRight
}

// show runs the demo in a folder of its own, which stays when something went wrong.
func show(interrupted context.Context, binary string, keep bool, stdout io.Writer) (right bool, err error) {
	ctx, cancel := context.WithTimeoutCause(interrupted, demoTimeout, fmt.Errorf("it is not done after %v", demoTimeout))
	defer cancel()
	r, err := rig.New(ctx, "demo", binary)
	if err != nil {
		return false, err
	}
	d := &demo{Rig: r, keep: keep, out: stdout}
	err = rig.Try(func() { right = d.run() }) //nolint:contextcheck // the rig has it
	keep = interrupted.Err() == nil && (keep || !right)
	if keep && !right {
		d.say("\neverything stays in %s", d.Dir)
	}
	return right, errors.Join(context.Cause(interrupted), err, r.Close(keep))
}

const (
	archiveTimeout = time.Minute // how long the bridge may take to archive everything
	pollEvery      = 50 * time.Millisecond
)

// demo is one run, used by one goroutine.
type demo struct {
	*rig.Rig
	keep bool
	out  io.Writer

	bridge *rig.Bridge
	plan   *plan
	got    counts
}

func (d *demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, format+"\n", args...)
}

// run plays the whole demo, and reports whether every count is right.
func (d *demo) run() (right bool) {
	d.say("This runs a bridge and a small provider on free ports of this machine, sends signed webhooks as the\n" +
		"provider does, has it lose some others, and then counts what is in the stream and on the disk.\n")
	p := newProvider()
	d.OnClose(func() error { p.api.Close(); return nil })
	p.base = d.Serve(p.handler())
	d.bridge = d.StartBridge(rig.BridgeConfig{
		// A prediction is left to its webhook for as long as a provider takes that does not
		// try again for long.
		Source: fmt.Sprintf(`api: {base_url: %q, key: "env:%s", poll_after: 1s}`, p.base+"/api/v3", keyEnv),
		NATS:   rig.EmbeddedNATS(64 << 20), More: rig.ArchiveHere, Env: []string{keyEnv + "=" + providerKey},
	})
	d.say("bridge    http://%s/webhooks/%s, process %d", d.bridge.Webhooks, rig.SourceName, d.bridge.PID)
	d.say("outputs   %s/files/", p.base)
	d.say("folder    %s", d.Dir)

	d.plan, d.got = newPlan(p.base+"/files/", time.Now()), counts{}
	p.serve(d.plan)
	started := time.Now()
	d.lose(p)
	d.say("announced %d predictions whose webhooks the provider loses", d.got[announced])
	d.send()
	d.say("sent      %d webhooks, all answered after %v", d.got[sent], since(started))
	want := d.plan.want()
	archive := filepath.Join(d.bridge.Data, "archive")
	if err := d.awaitArchive(archive, int(want[manifests])); err != nil {
		d.say("archive   %v", err)
	} else {
		d.say("archive   has every output after %v", since(started))
	}
	rig.Check(d.plan.countStream(d.got, func(add func(subject string, header nats.Header, body []byte)) error {
		return rig.ReadEvents(d.Context(), d.bridge.Connect(), predictionPrefix, add)
	}))
	d.countKept()
	d.countLost(p)
	// The disk is counted last: what is there then has outlived the bridge.
	code, _ := d.bridge.Stop() // an error is in the code too
	d.got[exitCode] = int64(code)
	example := d.plan.countDisk(d.got, os.DirFS(archive))
	right = len(want.wrong(d.got)) == 0
	if example != "" {
		note := " (removed now; -keep leaves it)"
		if d.keep || !right {
			note = ""
		}
		d.say("for one   %s%s", filepath.Join(archive, filepath.FromSlash(example)), note)
	}
	rig.Check(want.print(d.out, d.got))
	if !right {
		d.say("\nThe end of %s:\n%s", d.bridge.Log, d.bridge.Tail())
	}
	return right
}

// awaitArchive waits for the manifest of every completed prediction, which is written last.
func (d *demo) awaitArchive(archive string, want int) error {
	return d.Until("everything is archived", archiveTimeout, pollEvery, func(context.Context) bool {
		found := rig.Must(fs.Glob(os.DirFS(archive), "*/*/*/*/*/"+manifestName))
		if !d.bridge.Alive() {
			rig.Check(d.bridge.Explain(errors.New("the bridge has ended by itself")))
		}
		return len(found) >= want
	})
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }
