package console

import (
	"strings"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/examples"
)

// snippet is a program that reads a consumer, with the consumer's real names.
type snippet struct {
	Language string
	// File is what the program is called, Text the program, and Run the command that runs it.
	File, Text, Run string
	// First is the one that is shown at once.
	First bool
}

// snippets returns programs for a consumer. Guest: the embedded NATS has a user for this consumer
// alone; otherwise the embedded one has user app, and the operator of an external one made a user.
func snippets(name, prefix string, guest, external bool) []snippet {
	env := `eval "$(hookspan nats-env)"`
	switch {
	case external:
		env = "export NATS_URL=nats://… NATS_USER=… NATS_PASSWORD=…"
	case guest:
		env = `eval "$(hookspan nats-env --consumer ` + name + `)"`
	}
	stream := bridge.Names{Prefix: prefix}.EventsStream()
	named := strings.NewReplacer(
		"HOOKSPAN_EVENTS", stream, `hookspan\.`, prefix+`\.`, "hookspan.due.", prefix+".due.", "hookspan.later.", prefix+".later.",
		`eval "$(hookspan nats-env --consumer NAME)"`, env, "consumer.mjs NAME", "consumer.mjs "+name, "consumer.py NAME", "consumer.py "+name,
		"consumer.sh NAME", "consumer.sh "+name, "go run . NAME", "go run . "+name).Replace
	return []snippet{
		{"Go", "main.go", named(examples.Go), env + "; go mod init example; go mod tidy; go run . " + name, true},
		{"Node.js", "consumer.mjs", named(examples.Node), env + "; npm install @nats-io/jetstream @nats-io/transport-node; node consumer.mjs " + name, false},
		{"Python", "consumer.py", named(examples.Python), env + "; pip install nats-py; python3 consumer.py " + name, false},
		{"nats CLI", "consumer.sh", named(examples.Shell), env + "; nats consumer next " + stream + " " + name + " --ack", false},
	}
}
