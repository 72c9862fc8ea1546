package main

import (
	"bytes"
	"io"
	"time"

	"github.com/alecthomas/kong"

	"github.com/hookspan/hookspan/internal/backoff"
)

// watchFlag is of verbs that show how something stands.
type watchFlag struct {
	Watch bool `help:"Show it again every two seconds, until Ctrl-C."`
}

func (f *watchFlag) watching() bool { return f.Watch }

const (
	watchEvery = 2 * time.Second
	// clearScreen moves to the upper left corner and clears what is there, ECMA-48.
	clearScreen = "\x1b[H\x1b[2J"
)

// watch runs the verb that the arguments name again and again, until Ctrl-C. It parses them each
// time, so that a bridge that comes back elsewhere is found. An error is shown in the place of
// what cannot be shown; only wrong use ends it.
func watch(e *env, parse func() (*kong.Context, error)) int {
	drawn := e.screen && !e.json
	for {
		var shown bytes.Buffer
		now := *e
		now.stdout = &shown
		if drawn {
			now.stderr = &shown // the screen is cleared of it too
		}
		verb, err := parse()
		if err == nil {
			err = verb.Run(&now)
		}
		if e.ctx.Err() != nil {
			return exitDone
		}
		if err != nil && now.fail(err) == exitUsage {
			_, _ = shown.WriteTo(e.stderr)
			return exitUsage
		}
		if drawn {
			_, _ = io.WriteString(e.stdout, clearScreen)
		} else if !e.json && shown.Len() > 0 {
			shown.WriteByte('\n')
		}
		if _, err := shown.WriteTo(e.stdout); err != nil {
			return e.fail(err)
		}
		if !backoff.Sleep(e.ctx, watchEvery) {
			return exitDone
		}
	}
}
