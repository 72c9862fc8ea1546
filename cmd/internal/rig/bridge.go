package rig

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// BridgeConfig says how a bridge runs. The zero value is a bridge with its own NATS and
// default settings, on free ports.
type BridgeConfig struct {
	Name string // for files, default "bridge"
	// Binary is the program, default that of the rig.
	Binary string
	Data   string // its folder, default one beside the configuration
	Port   int    // for webhooks, default a free one
	Admin  int    // the port for operators, default a free one
	// Flags are more words of the command line of serve.
	Flags []string
	Log   string // the level, default "info"
	// Ingress, NATS and Source are more keys of these parts of the configuration, in YAML
	// as between braces; More is whatever else is to be in it.
	Ingress, NATS, Source, More string
	Env                         []string // beside the secret
	Slow                        time.Duration
	Trace                       []string // see [Command]
	Socket                      *os.File
}

// MaxEvents is room for the events of any experiment, in bytes.
const (
	MaxEvents = 4 << 30
	secretEnv = "GET3W_WEBHOOK_SECRET"
)

// bridgeText is the configuration of every bridge.
const bridgeText = `data_dir: %q
log: {level: %s}
ingress: {listen: "127.0.0.1:%d", %s}
admin: {listen: "127.0.0.1:%d"}
nats: {%s}
sources: {` + SourceName + `: {kind: get3w, secrets: ["env:` + secretEnv + `"], %s}}
%s
`

// ArchiveHere is the [BridgeConfig.More] that archives outputs which this machine serves.
const ArchiveHere = `consumers: {archive: {kind: archive, hosts: ["127.0.0.1"], allow_private: true}}`

// EmbeddedNATS are keys of [BridgeConfig.NATS] for a bridge with its own NATS and so much
// room for events.
func EmbeddedNATS(maxBytes int64) string {
	return fmt.Sprintf(`listen: "127.0.0.1:0", events: {max_bytes: %d}`, maxBytes)
}

// ExternalNATS are those for a bridge whose events go to servers elsewhere.
func ExternalNATS(urls string) string {
	return fmt.Sprintf(`url: %q, events: {max_bytes: %d}`, urls, int64(MaxEvents))
}

// Bridge is hookspan serve as a process of its own.
type Bridge struct {
	Receiver
	Admin string // the base address for operators
	// Data is its data folder, Config its configuration file.
	Data, Config string
}

// StartBridge returns when the bridge says that it is ready.
func (r *Rig) StartBridge(c BridgeConfig) *Bridge {
	name := cmp.Or(c.Name, "bridge")
	b := &Bridge{Data: cmp.Or(c.Data, r.Path(name+"-data")), Config: r.Path(name + ".yaml"), Receiver: Receiver{rig: r}}
	Check(os.WriteFile(b.Config, fmt.Appendf(nil, bridgeText, b.Data, cmp.Or(c.Log, "info"), c.Port, c.Ingress, c.Admin,
		cmp.Or(c.NATS, `listen: "127.0.0.1:0"`), c.Source, c.More), 0o600))
	b.Process = r.Start(Command{
		Name: name, Slow: c.Slow, Trace: c.Trace, Socket: c.Socket, Args: append([]string{cmp.Or(c.Binary, r.Binary), "--json", "serve", "--config", b.Config}, c.Flags...),
		Env: append(c.Env, secretEnv+"="+Secret), // nothing else that could change how it runs
	})
	var ready struct {
		Webhooks map[string]string `json:"webhooks"`
		Admin    string            `json:"admin"`
	}
	Check(json.Unmarshal(b.Ready, &ready))
	u := Must(url.Parse(ready.Webhooks[SourceName]))
	if u.Host == "" && len(c.Flags) == 0 { // with other roles it may take no webhooks
		Check(fmt.Errorf("the first line of the bridge does not name its address: %q", b.Ready))
	}
	b.Webhooks, b.Admin = u.Host, ready.Admin
	return b
}

// Ask runs a verb of the program on the bridge's configuration, and reads its JSON.
func (b *Bridge) Ask(into any, verb ...string) {
	cmd := exec.CommandContext(b.rig.ctx, b.rig.Binary, append([]string{"--json"}, verb...)...)
	cmd.Env = []string{secretEnv + "=" + Secret}
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	Check(err, append([]string{"hookspan"}, verb...)...)
}

// Connect reaches the bridge's own NATS as another team's program does.
func (b *Bridge) Connect() *nats.Conn {
	var vars map[string]string
	b.Ask(&vars, "nats-env", "--config", b.Config)
	return b.rig.Connect(vars["NATS_URL"], nats.UserInfo(vars["NATS_USER"], vars["NATS_PASSWORD"]))
}

// Metric returns a value of the bridge's metrics by its name and labels as they are
// written there, and 0 when it is not there yet.
func (b *Bridge) Metric(name string) (value float64) {
	for line := range strings.Lines(string(b.rig.Get(b.Admin + "/metrics"))) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			Must(fmt.Sscan(text, &value))
		}
	}
	return value
}
