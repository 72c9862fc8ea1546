package bridge_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/hookspan/hookspan/"

// arrow says what the production code of a package may import of ours, and what
// of others it must never import.
type arrow struct {
	ours  []string
	never []string
	// stdOnly: nothing but the standard library and ours.
	stdOnly bool
}

const (
	echo = "github.com/labstack/echo"
	nats = "github.com/nats-io/"
)

// arrows is every package of the module: a new one is drawn here first.
var arrows = map[string]arrow{
	"bridge":             {stdOnly: true},
	"bridge/quota":       {ours: []string{"bridge"}, never: []string{echo, nats + "nats-server"}},
	"bridge/source":      {ours: []string{"bridge"}, never: []string{echo, nats, "net/http"}},
	"bridge/ingress":     {ours: []string{"bridge", "bridge/source", "internal/headers"}, never: []string{nats}},
	"bridge/admin":       {ours: []string{"bridge", "internal/headers"}, never: []string{nats}},
	"bridge/reverify":    {ours: []string{"bridge", "bridge/source"}, never: []string{echo, nats, "net/http"}},
	"bridge/queue":       {ours: []string{"bridge", "bridge/quota", "bridge/stored", "internal/redial"}, never: []string{echo}},
	"bridge/fakeget3w":   {ours: []string{"bridge", "bridge/source"}, never: []string{echo, nats}},
	"bridge/telemetry":   {ours: []string{"internal/printable"}, never: []string{echo, nats}},
	"bridge/stored":      {ours: []string{"bridge"}, never: []string{echo, nats + "nats-server"}},
	"bridge/guests":      {ours: []string{"bridge", "bridge/quota", "bridge/requests"}, never: []string{echo, nats + "nats-server"}},
	"bridge/fleet":       {ours: []string{"bridge", "bridge/stored"}, never: []string{echo, nats + "nats-server"}},
	"bridge/later":       {ours: []string{"bridge"}, never: []string{echo, nats + "nats-server"}},
	"bridge/requests":    {ours: []string{"bridge"}, never: []string{echo, nats + "nats-server"}},
	"bridge/redelivery":  {ours: []string{"bridge", "bridge/later", "bridge/quota", "bridge/requests", "bridge/stored"}, never: []string{echo, nats + "nats-server"}},
	"bridge/upkeep":      {ours: []string{"bridge", "bridge/stored"}, never: []string{echo, nats + "nats-server"}},
	"bridge/predictions": {ours: []string{"bridge", "bridge/source", "bridge/stored"}, never: []string{echo, nats + "nats-server"}},
	"consumers":          {ours: []string{"bridge", "bridge/later", "bridge/stored", "internal/redial"}, never: []string{echo, nats + "nats-server"}},
	"consumers/archive":  {ours: []string{"bridge", "consumers", "internal/freshconn", "internal/neverdial"}, never: []string{echo, nats}},
	"consumers/exec":     {ours: []string{"bridge", "consumers"}, never: []string{echo, nats}},
	"consumers/forward":  {ours: []string{"bridge", "consumers", "internal/freshconn", "internal/neverdial", "internal/pasted"}, never: []string{echo, nats}},

	"internal/freshconn": {stdOnly: true},
	"internal/headers":   {stdOnly: true},
	"internal/neverdial": {stdOnly: true},
	"internal/pasted":    {stdOnly: true, never: []string{"net/http"}},
	"internal/pid1":      {never: []string{echo, nats, "net/http"}},
	"internal/printable": {stdOnly: true},
	"internal/redial":    {never: []string{echo, nats + "nats-server"}},

	"bridge/client":               {ours: []string{"bridge", "internal/freshconn"}, stdOnly: true},
	"bridge/predictions/await":    {ours: []string{"bridge", "bridge/predictions", "bridge/stored"}, never: []string{echo, nats + "nats-server"}},
	"bridge/predictions/watches":  {ours: []string{"bridge", "bridge/quota", "bridge/requests"}, never: []string{echo, nats + "nats-server"}},
	"bridge/predictions/provider": {ours: []string{"bridge", "internal/freshconn"}, never: []string{echo, nats}},
	"bridge/predictions/submit": {
		ours: []string{"bridge", "bridge/predictions/provider", "bridge/stored"}, never: []string{echo, nats + "nats-server"},
	},

	"bridge/queue/queuetest": {ours: []string{"bridge", "bridge/guests", "bridge/queue"}, never: []string{echo}},
	"consumers/consumertest": {
		ours: []string{"bridge", "bridge/source", "bridge/queue", "bridge/queue/queuetest", "consumers"}, never: []string{echo},
	},
	"bridge/config": {
		ours:  []string{"bridge", "bridge/admin", "bridge/ingress", "bridge/queue", "bridge/source", "consumers", "consumers/archive", "consumers/exec", "consumers/forward", "internal/pasted"},
		never: []string{echo},
	},
	"bridge/app": {ours: []string{"*"}},

	"cmd/hookspan": {ours: []string{"*"}},
	"cmd/demo":     {ours: []string{"*"}},
	"cmd/bench":    {ours: []string{"*"}},
	"cmd/chaos":    {ours: []string{"*"}},
}

// forTests are the packages that only tests, and each other, may import.
var forTests = []string{"bridge/queue/queuetest", "consumers/consumertest"}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	require.NoError(t, err)
	dec := json.NewDecoder(bytes.NewReader(out))
	seen := 0
	for {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		name := strings.TrimPrefix(p.ImportPath, module)
		rule, drawn := arrows[name]
		require.True(t, drawn, "%s is not in the table of arrows", name)
		seen++
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, module); ok {
				require.True(t, slices.Contains(rule.ours, ours) || slices.Contains(rule.ours, "*"), "%s imports %s", name, ours)
				require.NotContains(t, ours, "cmd/", "%s imports a program", name)
				require.False(t, slices.Contains(forTests, ours) && !slices.Contains(forTests, name), "%s imports %s, which is for tests", name, ours)
				continue
			}
			for _, never := range rule.never {
				require.False(t, strings.HasPrefix(imported, never), "%s imports %s", name, imported)
			}
			first, _, _ := strings.Cut(imported, "/")
			require.False(t, rule.stdOnly && strings.Contains(first, "."), "%s imports %s", name, imported)
		}
	}
	require.Equal(t, len(arrows), seen, "the table names a package that is not there")
}
