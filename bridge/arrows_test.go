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

// machinery may import what is below it, which is drawn here, and internal packages of
// the module, which are below everything. Echo is for ingress, admin and console alone,
// nats-server for the stream package.
var (
	withoutEcho   = []string{echo}
	withoutServer = []string{echo, nats + "nats-server"}
	withoutNATS   = []string{echo, nats}
)

// arrows is every package of the module: a new one is drawn here first.
var arrows = map[string]arrow{
	// Public.
	"bridge":                 {stdOnly: true},
	"bridge/client":          {ours: []string{"bridge", "internal/*"}, stdOnly: true},
	"bridge/app":             {ours: []string{"bridge", "bridge/config", "bridge/internal/*", "consumers", "consumers/archive", "consumers/exec", "consumers/forward", "internal/*"}},
	"bridge/config":          {ours: []string{"bridge", "bridge/internal/admin", "bridge/internal/ingress", "bridge/internal/source", "bridge/internal/stream", "consumers", "consumers/archive", "consumers/exec", "consumers/forward", "internal/*"}, never: withoutNATS},
	"consumers":              {ours: []string{"bridge", "internal/consumerstate", "internal/redial", "internal/streamread", "internal/waitbudget"}, never: withoutServer},
	"consumers/archive":      {ours: []string{"bridge", "consumers", "internal/*"}, never: withoutNATS},
	"consumers/exec":         {ours: []string{"bridge", "consumers"}, never: withoutNATS},
	"consumers/forward":      {ours: []string{"bridge", "consumers", "internal/*"}, never: withoutNATS},
	"consumers/consumertest": {ours: []string{"bridge", "consumers", "internal/natstest"}, never: withoutEcho},

	// The machinery, from what stands on top to what everything else stands on.
	"bridge/internal/admin":                     {ours: []string{"bridge", "internal/adminapi", "internal/headers"}, never: []string{nats}},
	"bridge/internal/ingress":                   {ours: []string{"bridge", "bridge/internal/source", "internal/headers"}, never: []string{nats}},
	"bridge/internal/quarantine":                {ours: []string{"bridge", "bridge/internal/source", "internal/adminapi"}, never: append(withoutNATS, "net/http")},
	"bridge/internal/housekeeping":              {ours: []string{"bridge", "internal/streamread"}, never: withoutServer},
	"bridge/internal/redelivery":                {ours: []string{"bridge", "bridge/internal/stream/quota", "bridge/internal/stream/requests", "internal/adminapi", "internal/streamread", "internal/waitbudget"}, never: withoutServer},
	"bridge/internal/redelivery/durables":       {ours: []string{"bridge", "internal/adminapi", "internal/consumerstate", "internal/streamread"}, never: withoutServer},
	"bridge/internal/predictions":               {ours: []string{"bridge", "bridge/internal/predictions/fold", "bridge/internal/predictions/poller", "internal/adminapi", "internal/streamread", "internal/streams"}, never: withoutServer},
	"bridge/internal/predictions/fold":          {ours: []string{"bridge"}, never: withoutNATS},
	"bridge/internal/predictions/fold/foldtest": {ours: []string{"bridge", "bridge/internal/predictions/fold", "bridge/internal/source"}, never: withoutNATS},
	"bridge/internal/predictions/poller":        {ours: []string{"bridge", "bridge/internal/predictions/fold", "bridge/internal/predictions/provider", "bridge/internal/source", "internal/adminapi", "internal/streamread"}, never: withoutServer},
	"bridge/internal/predictions/await":         {ours: []string{"bridge", "bridge/internal/predictions", "bridge/internal/predictions/fold", "internal/adminapi", "internal/streamread"}, never: withoutServer},
	"bridge/internal/predictions/provider":      {ours: []string{"bridge", "internal/freshconn"}, never: withoutNATS},
	"bridge/internal/predictions/submit":        {ours: []string{"bridge", "bridge/internal/predictions/provider", "internal/adminapi", "internal/streamread"}, never: withoutServer},
	"bridge/internal/predictions/watches":       {ours: []string{"bridge", "internal/adminapi", "bridge/internal/stream/quota", "bridge/internal/stream/requests"}, never: withoutServer},
	"bridge/internal/stream":                    {ours: []string{"bridge", "bridge/internal/stream/guestcalls", "bridge/internal/stream/quota", "internal/adminapi", "internal/redial", "internal/streamread", "internal/streams"}, never: withoutEcho},
	"bridge/internal/stream/gateway":            {ours: []string{"bridge", "bridge/internal/stream/guestcalls", "internal/consumerstate", "bridge/internal/stream/quota", "bridge/internal/stream/requests"}, never: withoutServer},
	"bridge/internal/stream/quota":              {ours: []string{"bridge"}, never: withoutServer},
	"bridge/internal/stream/guestcalls":         {ours: []string{"bridge"}, never: withoutNATS},
	"bridge/internal/stream/requests":           {ours: []string{"bridge"}, never: withoutServer},
	"bridge/internal/stream/streamtest":         {ours: []string{"bridge", "bridge/internal/stream", "bridge/internal/stream/gateway", "internal/natstest", "internal/streams"}, never: withoutEcho},
	"bridge/internal/source":                    {ours: []string{"bridge", "internal/signing"}, never: append(withoutNATS, "net/http")},
	"bridge/internal/telemetry":                 {ours: []string{"internal/printable"}, never: withoutNATS},

	// What several sides need.
	"internal/adminapi":      {ours: []string{"bridge", "internal/consumerstate", "internal/printable"}, stdOnly: true},
	"internal/backoff":       {stdOnly: true, never: []string{"net/http"}},
	"internal/retryafter":    {stdOnly: true},
	"internal/consumerstate": {ours: []string{"bridge"}, stdOnly: true},
	"internal/mediatype":     {stdOnly: true, never: []string{"net/http"}},
	"internal/fakeget3w":     {ours: []string{"bridge", "internal/signing"}, never: withoutNATS},
	"internal/freshconn":     {stdOnly: true},
	"internal/headers":       {stdOnly: true},
	"internal/natstest":      {ours: []string{"bridge", "internal/streams"}, never: withoutEcho},
	"internal/neverdial":     {stdOnly: true},
	"internal/pasted":        {stdOnly: true, never: []string{"net/http"}},
	"internal/pid1":          {never: append(withoutNATS, "net/http")},
	"internal/printable":     {stdOnly: true},
	"internal/redial":        {never: withoutServer},
	"internal/signing":       {stdOnly: true, never: []string{"net/http"}},
	"internal/streamread":    {ours: []string{"bridge"}, never: withoutServer},
	"internal/streams":       {ours: []string{"bridge"}, never: withoutServer},
	"internal/waitbudget":    {ours: []string{"bridge"}, never: withoutServer},

	// Programs.
	"cmd/hookspan":          {ours: []string{"bridge", "bridge/app", "bridge/client", "bridge/config", "internal/*"}, never: []string{echo}},
	"bridge/internal/bench": {ours: []string{"*"}},
	"bridge/internal/chaos": {ours: []string{"*"}},
	"bridge/internal/demo":  {ours: []string{"*"}},
}

// everywhere are the packages that every package may import.
var everywhere = []string{"internal/backoff", "internal/printable", "internal/mediatype"}

// forTests are the packages that only tests, and each other, may import.
var forTests = []string{"bridge/internal/predictions/fold/foldtest", "bridge/internal/stream/streamtest", "internal/natstest", "consumers/consumertest"}

// allows reports whether a package of ours may be imported; a rule that ends with a star
// is for everything below a folder.
func (a arrow) allows(ours string) bool {
	return slices.ContainsFunc(slices.Concat(a.ours, everywhere), func(rule string) bool {
		folder, all := strings.CutSuffix(rule, "*")
		return rule == ours || all && strings.HasPrefix(ours, folder)
	})
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportArrows(t *testing.T) {
	t.Parallel()
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
				require.True(t, rule.allows(ours), "%s imports %s", name, ours)
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
