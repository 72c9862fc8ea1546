// Command hookspan is a bridge between a prediction provider's webhooks and the
// services that act on them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/mattn/go-isatty"

	"github.com/hookspan/hookspan/internal/activation"
	"github.com/hookspan/hookspan/internal/pid1"
	"github.com/hookspan/hookspan/internal/sdnotify"
)

type cli struct {
	JSON bool `help:"Print JSON instead of text."`

	Serve      serveCmd      `cmd:"" help:"Run the bridge."`
	Send       sendCmd       `cmd:"" help:"Send one signed webhook, as the provider does, and print the answer."`
	Journal    journalCmd    `cmd:"" help:"What was accepted and is not in NATS yet."`
	Config     configCmd     `cmd:"" help:"Look at the configuration."`
	Provision  provisionCmd  `cmd:"" help:"Make the streams, buckets and durables in NATS what they are to be, then exit."`
	NATSEnv    natsEnvCmd    `cmd:"" name:"nats-env" help:"Print what a NATS client needs to connect to the embedded server, for a shell."`
	Events     eventsCmd     `cmd:"" help:"Stored events."`
	Consumers  consumersCmd  `cmd:"" help:"The durable readers of events."`
	Dead       deadCmd       `cmd:"" aliases:"dlq" help:"Events that a consumer gave up on."`
	Quarantine quarantineCmd `cmd:"" help:"Deliveries that did not become an event."`
	FakeGet3W  fakeGet3WCmd  `cmd:"" name:"fake-get3w" help:"Be the provider, for trying things: its API, its webhooks and its outputs."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
	Completion completionCmd `cmd:"" help:"Print a script with which a shell completes verbs, flags and names."`

	Man manCmd `cmd:"" hidden:"" help:"Print the page of the manual, hookspan(1)."`

	Jobs        jobsCmd        `cmd:"" help:"Work on all that match: redrive, replay, verify again, drop."`
	Predictions predictionsCmd `cmd:"" help:"Predictions: what is known of them, and waiting for their end."`
	Alarms      alarmsCmd      `cmd:"" help:"What the bridge told operators, the newest first."`
	Tail        tailCmd        `cmd:"" help:"Print events as they are stored, until Ctrl-C."`
	Simulate    simulateCmd    `cmd:"" help:"Play the provider: send many webhooks with faults, then account for all of them."`
	Listen      listenCmd      `cmd:"" help:"Post events to a service that you are developing, as they are stored, until Ctrl-C."`
	Erase       eraseCmd       `cmd:"" help:"Erase a prediction everywhere, for good, or all of a tenant. It asks before."`
	View        viewCmd        `cmd:"" help:"The view, from which lists and searches come: how far it is."`
	Backup      backupCmd      `cmd:"" help:"Save everything that a bridge keeps into a folder, while it runs or not."`
	Restore     restoreCmd     `cmd:"" help:"Bring a backup back, for a bridge that does not run. Nothing is overwritten."`
	Migrate     migrateCmd     `cmd:"" help:"Have a bridge move everything to another NATS with its next start, while it takes webhooks."`
	Doctor      doctorCmd      `cmd:"" help:"Say whether this deployment is safe: each finding with its reason and a remedy."`
	Signature   signatureCmd   `cmd:"" help:"Signatures of webhooks."`
	Health      healthCmd      `cmd:"" help:"Say in one line whether the bridge is ready, and exit with 0 or 1: for the check of a container or a unit."`
}

// env is what a verb needs of its process.
type env struct {
	ctx    context.Context
	getenv func(string) (string, bool)
	// hangups begins to deliver SIGHUP, which otherwise ends a process.
	hangups func() <-chan os.Signal
	// sockets takes the listening sockets that the parent passed.
	sockets func() (activation.Sockets, error)
	// manager takes the service manager that started this process, nil when there is none.
	manager func() (*sdnotify.Manager, error)
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	program string
	// terminal: stderr is a terminal, and answers come from stdin.
	terminal bool
	// screen: stdout is a terminal that can be cleared, and colours are wanted on it.
	screen, colours bool
	json            bool
}

func main() {
	pid1.Run()
	ctx := untilSignal()
	hangups := func() <-chan os.Signal {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGHUP)
		return signals
	}
	e := &env{
		ctx: ctx, getenv: os.LookupEnv, hangups: hangups,
		sockets: func() (activation.Sockets, error) { return activation.Take(os.LookupEnv) },
		manager: func() (*sdnotify.Manager, error) { return sdnotify.Take(os.LookupEnv) },
		stdin:   os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		program: os.Args[0], terminal: isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stderr.Fd()),
	}
	e.screen, e.colours = look(isatty.IsTerminal(os.Stdout.Fd()), os.LookupEnv)
	os.Exit(run(os.Args[1:], e))
}

// untilSignal returns a context that ends at the first signal to end. From just before that, a
// second signal ends the process at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Reset(syscall.SIGINT, syscall.SIGTERM)
		if len(signals) > 0 { // the second signal came earlier
			os.Exit(exitFailed)
		}
		cancel()
	}()
	return ctx
}

// run runs the program with its arguments and returns the exit code. Without arguments it prints
// the help.
func run(args []string, e *env) int {
	e.json = wantsJSON(args)
	if len(args) == 0 {
		args = []string{"--help"}
	}
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("hookspan"),
		kong.Description("A bridge that keeps every webhook of a prediction provider, and what it points to."),
		kong.Writers(e.stdout, e.stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		return e.fail(err)
	}
	verb, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help
	}
	if err != nil {
		return e.fail(&usageError{fmt.Errorf("%w: try hookspan --help", err)})
	}
	e.json = c.JSON
	if w, ok := reflect.TypeAssert[interface{ watching() bool }](verb.Selected().Target.Addr()); ok && w.watching() {
		return watch(e, func() (*kong.Context, error) { return parser.Parse(args) })
	}
	if err := verb.Run(e); err != nil {
		return e.fail(err)
	}
	return exitDone
}
