// Command hookspan is a bridge between a prediction provider's webhooks and the
// services that act on them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes: wrong use is told apart so that scripts can.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// cli is every verb and flag; kong reads the tags.
type cli struct {
	JSON bool `help:"Print JSON instead of text."`

	Serve   serveCmd   `cmd:"" help:"Run the bridge."`
	Send    sendCmd    `cmd:"" help:"Send one signed webhook, as the provider does, and print the answer."`
	Config  configCmd  `cmd:"" help:"Look at the configuration."`
	NATSEnv natsEnvCmd `cmd:"" name:"nats-env" help:"Print what a NATS client needs to connect to the embedded server, for a shell."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// configFlag is shared by the verbs that read the configuration.
type configFlag struct {
	File string `name:"config" short:"c" env:"HOOKSPAN_CONFIG" placeholder:"FILE" help:"The configuration, one YAML file. Without it everything has its default."`
}

// env is the world of a verb.
type env struct {
	ctx    context.Context
	getenv func(string) (string, bool)
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	json   bool
}

// errSilent ends a verb with exit code 1 after it has said everything itself.
var errSilent = errors.New("failed")

func main() {
	// The first signal asks to end; after it a second one ends at once.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, getenv func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("hookspan"),
		kong.Description("A bridge that keeps every webhook of a prediction provider, and what it points to."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "hookspan:", err)
		return exitFailed
	}
	verb, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "hookspan: %v\nTry hookspan --help.\n", err)
		return exitUsage
	}
	err = verb.Run(&env{ctx: ctx, getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr, json: c.JSON})
	switch {
	case err == nil:
		return exitDone
	case !errors.Is(err, errSilent):
		_, _ = fmt.Fprintln(stderr, "hookspan:", err)
	}
	return exitFailed
}
