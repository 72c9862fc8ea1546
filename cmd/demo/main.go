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
	"path/filepath"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// demoTimeout bounds everything.
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

// show runs the demo in a folder of its own, which stays when it may tell what
// went wrong.
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
