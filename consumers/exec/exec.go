// Package exec is a consumer that runs one command for each event.
//
// The command gets the event's body on its standard input, byte for byte, and the event's
// attributes as environment variables; see [Runner.Handle]. Its arguments are only those of the
// configuration, and no shell reads them: nothing that a sender writes can become a command or
// an option.
//
// The end of the command decides what becomes of the event:
//
//	exit status 0                        done
//	exit status 65 (EX_DATAERR)          dead letter: permanent
//	75 (EX_TEMPFAIL), any other, a signal, a timeout   again after a backoff
//	the command could not be started     waits until it can; not an attempt
//
// The two numbers are those of sysexits.h.
//
// An attempt ends with its processes: they run in a session of their own, whose process group is
// killed when the command has ended or must not go on. A process that a command moves into
// another session or group is out of reach.
package exec

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	osexec "os/exec"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

// MaxConcurrency is how many commands of one consumer should run at once at most: each takes a
// thread of this process while it runs, and Go ends a process that needs more than 10,000
// threads, or more than the system grants.
const MaxConcurrency = 256

const (
	// killAfter is how long the processes of a command have to end after SIGTERM. killAfter and
	// [closeAfter] together are within the time that a consumer waits for its handlers when it
	// stops.
	killAfter = 2 * time.Second
	// closeAfter is how long the output is read after the processes have ended: a process in
	// another session may hold the output open for ever.
	closeAfter = time.Second
	// startAgainAfter is the pause after a command could not be started.
	startAgainAfter = 10 * time.Second
)

// Runner is a [consumers.Handler] that runs a command for each event, and a
// [consumers.Gate] that lets events wait while the command cannot be started.
type Runner struct {
	command []string
	env     []string
	folders folders
	gate    gate
	log     *slog.Logger
	// killAfter is the constant, except in tests.
	killAfter time.Duration
}

// New makes the folder of the working folders, and removes working folders that a killed process
// left there. The command need not exist yet.
func New(cfg Config) (*Runner, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Runner{
		command:   slices.Clone(cfg.Command),
		env:       slices.Clone(cfg.Env),
		folders:   folders{dir: cfg.Dir, log: cfg.Logger},
		gate:      gate{path: cfg.Command[0], name: cfg.Name, alarms: cfg.Alarms, every: gateEvery},
		log:       cfg.Logger,
		killAfter: killAfter,
	}
	return r, r.folders.prepare()
}

// Wait returns when the command exists and may be executed, or when ctx has ended. After a
// command that could not be started Wait takes ten seconds longer. While it waits, an alarm says
// why.
func (r *Runner) Wait(ctx context.Context) { r.gate.wait(ctx) }

// Blocked returns since when the command cannot be started and why; the zero time while it can.
func (r *Runner) Blocked() (time.Time, string) { return r.gate.blocked() }

// Handle runs the command once. The working folder is empty, only its user may read it, and
// Handle removes it afterwards. Standard output and standard error are read to their end; the
// first 4 KiB and the last 12 KiB of the two together are the attempt's note.
//
// The environment holds Config.Env, TMPDIR, which is the working folder, and
//
//	HOOKSPAN_EVENT_ID         the event's id
//	HOOKSPAN_SOURCE           name of the source
//	HOOKSPAN_TYPE             CloudEvents type
//	HOOKSPAN_PREDICTION_ID    id of the prediction
//	HOOKSPAN_STATUS           normalised status
//	HOOKSPAN_MODEL            model as the sender wrote it
//	HOOKSPAN_TIME             when it came about, RFC 3339 in UTC
//	HOOKSPAN_RECEIVED_AT      when it arrived, RFC 3339 in UTC
//	HOOKSPAN_CONTENT_TYPE     content type that the sender gave the body
//	HOOKSPAN_SUBJECT          subject that the event was read from
//	HOOKSPAN_CONSUMER         name of the consumer
//	HOOKSPAN_ATTEMPT          number of the attempt, from 1 on
//	HOOKSPAN_REPEAT           true when an earlier attempt may have ended in the
//	                          middle, else false
//	HOOKSPAN_IDEMPOTENCY_KEY  printable ASCII, the same for every attempt of this
//	                          consumer on this event, and for no other
//	HOOKSPAN_QUERY_<KEY>      a query parameter, its name in upper case and with _
//	                          for -; of two names that become one, the later in
//	                          the order of their bytes counts
//	TRACEPARENT               W3C trace context, when the event has one
//
// An attribute that the event does not have is empty. Values are as the sender wrote them, valid
// UTF-8, with U+FFFD for a NUL byte, which no variable can hold. When they have more than 64 KiB
// together, the event becomes a dead letter.
//
// When ctx ends, every process in the command's group gets SIGTERM, and SIGKILL when the command
// has ended, two seconds later at the latest. A command that was told to end is not done,
// whatever its exit status. Handle waits for a process that even SIGKILL does not end, such as
// one that hangs in the kernel.
func (r *Runner) Handle(ctx context.Context, ev *bridge.Event) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	attributes, err := attributes(consumers.AttemptOf(ctx), ev)
	if err != nil {
		return consumers.Permanent(err)
	}
	dir, err := r.folders.make()
	if err != nil {
		return r.notStarted(err)
	}
	defer r.folders.remove(dir)

	var out output
	cmd := osexec.Command(r.command[0], r.command[1:]...) //nolint:noctx // the whole group is told, not this process alone
	cmd.Dir = dir
	cmd.Env = slices.Concat(r.env, []string{"TMPDIR=" + dir}, attributes)
	cmd.Stdin = bytes.NewReader(ev.Body)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = closeAfter
	p, err := run(ctx, cmd, r.killAfter)
	if err != nil {
		return r.notStarted(err)
	}
	consumers.Note(ctx, out.String())
	return verdict(p, out.lastLine())
}

// notStarted lets the event come again without counting an attempt, and the others wait.
func (r *Runner) notStarted(err error) error {
	err = fmt.Errorf("the command cannot be started: %w: see to it, the events wait for it", err)
	r.gate.close(err, startAgainAfter)
	return consumers.Snooze(err, startAgainAfter)
}
