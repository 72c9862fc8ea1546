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

// arrow says which packages of ours the production code of a package may import, and which
// others it must never import.
type arrow struct {
	ours  []string
	never []string
	// stdOnly: only the standard library and ours.
	stdOnly bool
}

const (
	echo = "github.com/labstack/echo"
	nats = "github.com/nats-io/"
	zap  = "go.uber.org/zap"
)

// Machinery may import the machinery below it, as drawn here, and every internal package of
// the module. Only ingress, admin and console use Echo; only the stream package, the repair of its
// durables and backups, whose format is that of the server, use nats-server.
var (
	withoutEcho   = []string{echo}
	withoutServer = []string{echo, nats + "nats-server"}
	withoutNATS   = []string{echo, nats}
	// lean must not reach programs of users.
	lean = []string{echo, nats + "nats-server", zap}
)

// arrows has every package of the module: draw a new one here first.
var arrows = map[string]arrow{
	// Public.
	"bridge":        {stdOnly: true},
	"bridge/client": {ours: []string{"bridge"}, stdOnly: true},
	"bridge/app":    {ours: []string{"bridge", "bridge/config", "bridge/internal/*", "consumers", "consumers/archive", "consumers/exec", "consumers/forward"}},
	"bridge/config": {ours: []string{"bridge", "bridge/internal/source", "consumers", "consumers/archive", "consumers/exec", "consumers/forward"}, never: withoutServer},
	"consumers":     {ours: []string{"bridge"}, never: lean},

	"consumers/archive":      {ours: []string{"bridge", "consumers"}, never: append(withoutNATS, zap)},
	"consumers/exec":         {ours: []string{"bridge", "consumers"}, never: append(withoutNATS, zap)},
	"consumers/forward":      {ours: []string{"bridge", "consumers"}, never: append(withoutNATS, zap)},
	"consumers/consumertest": {ours: []string{"bridge", "consumers"}, never: withoutEcho},

	// The machinery, from the top down.
	"bridge/internal/backup":                {ours: []string{"bridge", "bridge/internal/datafolder"}, never: append([]string{"net/http"}, withoutEcho...)},
	"bridge/internal/audit":                 {never: append(withoutNATS, "net/http")},
	"bridge/internal/admin":                 {ours: []string{"bridge", "bridge/internal/contracts", "bridge/internal/search"}, never: []string{nats}},
	"bridge/internal/console":               {ours: []string{"bridge", "examples"}, never: append(withoutNATS, "github.com/prometheus/")},
	"bridge/internal/console/e2e":           {}, // tests alone
	"bridge/internal/search":                {ours: []string{"bridge"}, never: append(withoutNATS, "net/http")},
	"bridge/internal/ingress":               {ours: []string{"bridge", "bridge/internal/lasting", "bridge/internal/source", "bridge/internal/telemetry"}, never: []string{nats}},
	"bridge/internal/bucket":                {ours: []string{"bridge"}, never: withoutServer},
	"bridge/internal/jobs":                  {ours: []string{"bridge", "bridge/internal/bucket"}, never: append(withoutServer, "net/http")},
	"bridge/internal/quarantine":            {ours: []string{"bridge", "bridge/internal/jobs", "bridge/internal/lasting", "bridge/internal/source", "bridge/internal/stream", "bridge/internal/stream/quota"}, never: append(withoutServer, "net/http")},
	"bridge/internal/housekeeping":          {ours: []string{"bridge", "bridge/internal/lasting"}, never: withoutServer},
	"bridge/internal/erase":                 {ours: []string{"bridge", "bridge/internal/jobs"}, never: append(withoutServer, "net/http")},
	"bridge/internal/lists":                 {ours: []string{"bridge", "bridge/internal/quarantine", "bridge/internal/redelivery", "bridge/internal/view"}, never: append(withoutServer, "net/http")},
	"bridge/internal/doctor":                {never: withoutNATS},
	"bridge/internal/status":                {ours: []string{"bridge"}, never: withoutNATS},
	"bridge/internal/redelivery":            {ours: []string{"bridge", "bridge/internal/jobs", "bridge/internal/stream/quota", "bridge/internal/stream/requests"}, never: withoutServer},
	"bridge/internal/redelivery/durables":   {ours: []string{"bridge", "bridge/internal/lasting"}, never: withoutServer},
	"bridge/internal/predictions":           {ours: []string{"bridge", "bridge/internal/lasting", "bridge/internal/bucket", "bridge/internal/view", "bridge/internal/predictions/poller"}, never: withoutServer},
	"bridge/internal/lasting":               {ours: []string{"bridge"}, stdOnly: true, never: []string{"net/http"}},
	"bridge/internal/live":                  {ours: []string{"bridge"}, never: append(withoutServer, "net/http")},
	"bridge/internal/view":                  {ours: []string{"bridge", "bridge/internal/view/fold"}, never: append(withoutServer, "net/http")},
	"bridge/internal/view/fold":             {ours: []string{"bridge"}, never: withoutNATS},
	"bridge/internal/view/fold/foldtest":    {ours: []string{"bridge", "bridge/internal/view/fold", "bridge/internal/source"}, never: withoutNATS},
	"bridge/internal/predictions/poller":    {ours: []string{"bridge", "bridge/internal/lasting", "bridge/internal/view/fold", "bridge/internal/predictions/provider", "bridge/internal/source"}, never: withoutServer},
	"bridge/internal/predictions/confirmer": {ours: []string{"bridge", "bridge/internal/lasting", "bridge/internal/predictions/provider", "bridge/internal/source"}, never: withoutServer},
	"bridge/internal/predictions/await":     {ours: []string{"bridge", "bridge/internal/view/fold"}, never: withoutServer},
	"bridge/internal/predictions/provider":  {ours: []string{"bridge", "bridge/internal/source"}, never: withoutNATS},
	"bridge/internal/predictions/submit":    {ours: []string{"bridge", "bridge/internal/predictions/provider"}, never: withoutServer},
	"bridge/internal/predictions/watches":   {ours: []string{"bridge", "bridge/internal/stream/quota", "bridge/internal/stream/requests"}, never: withoutServer},
	"bridge/internal/stream":                {ours: []string{"bridge", "bridge/internal/lasting", "bridge/internal/datafolder", "bridge/internal/journal", "bridge/internal/stream/durablerepair", "bridge/internal/stream/guestcalls", "bridge/internal/stream/quota", "bridge/internal/stream/rights"}, never: withoutEcho},
	"bridge/internal/stream/durablerepair":  {ours: []string{"bridge", "bridge/internal/datafolder"}, never: withoutEcho},
	"bridge/internal/stream/gateway":        {ours: []string{"bridge", "bridge/internal/lasting", "bridge/internal/stream/guestcalls", "bridge/internal/stream/quota", "bridge/internal/stream/requests"}, never: withoutServer},
	"bridge/internal/stream/guestcalls":     {ours: []string{"bridge"}, never: withoutNATS},
	"bridge/internal/stream/quota":          {ours: []string{"bridge", "bridge/internal/lasting"}, never: withoutServer},
	"bridge/internal/stream/rights":         {ours: []string{"bridge", "bridge/internal/stream/guestcalls"}, never: withoutNATS},
	"bridge/internal/stream/requests":       {ours: []string{"bridge"}, never: withoutServer},
	"bridge/internal/stream/streamtest":     {ours: []string{"bridge", "bridge/internal/datafolder", "bridge/internal/stream", "bridge/internal/stream/gateway"}, never: withoutEcho},
	"bridge/internal/journal":               {ours: []string{"bridge", "bridge/internal/lasting", "bridge/internal/datafolder"}, never: append(withoutNATS, "net/http")},
	"bridge/internal/datafolder":            {never: append(withoutNATS, "net/http")},
	"bridge/internal/source":                {ours: []string{"bridge"}, never: append(withoutNATS, "net/http")},
	"bridge/internal/telemetry":             {never: withoutNATS},
	"bridge/internal/contracts":             {stdOnly: true, never: []string{"net/http"}},

	"bridge/internal/contracts/contractstest": {ours: []string{"bridge", "bridge/internal/contracts"}, never: withoutServer},

	// Shared by several sides.
	"internal/activation":                  {never: append(withoutNATS, "net/http")},
	"internal/adminapi":                    {ours: []string{"bridge", "internal/consumerstate", "internal/printable"}, stdOnly: true},
	"internal/certificate":                 {ours: []string{"internal/smallfile"}, never: append(withoutNATS, "net/http")},
	"internal/certificate/certificatetest": {never: append(withoutNATS, "net/http")},
	"internal/clientaddr":                  {stdOnly: true, never: []string{"net/http"}},
	"internal/backoff":                     {stdOnly: true, never: []string{"net/http"}},
	"internal/smallfile":                   {stdOnly: true, never: []string{"net/http"}},
	"internal/retryafter":                  {stdOnly: true},
	"internal/eventstream":                 {stdOnly: true, never: []string{"net/http"}},
	"internal/fakeget3w":                   {ours: []string{"bridge", "internal/sending"}, never: withoutNATS},
	"internal/fakesender":                  {stdOnly: true},
	"internal/freshconn":                   {stdOnly: true},
	"internal/headers":                     {stdOnly: true},
	"internal/natserr":                     {never: withoutServer},
	"internal/natspull":                    {never: lean},
	"internal/freeport":                    {stdOnly: true},
	"internal/natstest":                    {ours: []string{"bridge", "internal/streams", "internal/freeport"}, never: withoutEcho},
	"internal/needs":                       {stdOnly: true},
	"internal/attemptrecord":               {ours: []string{"bridge", "internal/natserr", "internal/printable", "internal/streamread"}, never: lean},
	"internal/durable":                     {ours: []string{"bridge", "internal/consumerstate", "internal/natserr", "internal/streamread"}, never: lean},
	"internal/dialguard":                   {never: append(withoutNATS, "net/http")},
	"internal/consumerstate":               {ours: []string{"bridge"}, stdOnly: true},
	"internal/jsonvalue":                   {stdOnly: true, never: []string{"net/http"}},
	"internal/mediatype":                   {stdOnly: true, never: []string{"net/http"}},
	"internal/pasted":                      {stdOnly: true, never: []string{"net/http"}},
	"internal/pid1":                        {never: append(withoutNATS, "net/http")},
	"internal/printable":                   {stdOnly: true},
	"internal/redial":                      {never: lean},
	"internal/sdnotify":                    {never: append(withoutNATS, "net/http")},
	"internal/sending":                     {ours: []string{"internal/backoff", "internal/signing"}, stdOnly: true},
	"internal/signing":                     {stdOnly: true, never: []string{"net/http"}},
	"internal/streamread":                  {ours: []string{"internal/natspull", "internal/printable", "bridge"}, never: withoutServer},
	"internal/streams":                     {ours: []string{"bridge"}, never: withoutServer},
	"internal/tracing":                     {ours: []string{"internal/printable"}, never: lean},
	"internal/waitbudget":                  {ours: []string{"bridge"}, never: withoutServer},

	// Programs. The equipment that tries the bridge shares the rig.
	"cmd/hookspan":          {ours: []string{"bridge", "bridge/app", "bridge/client", "bridge/config", "cmd/internal/simulate", "consumers", "consumers/forward"}, never: []string{echo}},
	"cmd/bench":             {ours: []string{"bridge", rig}}, // it compares a bridge with an Echo server
	"cmd/chaos":             {ours: []string{"bridge", "cmd/internal/simulate", rig}, never: []string{echo}},
	"cmd/demo":              {ours: []string{"bridge", "bridge/client", rig}, never: []string{echo}},
	"examples":              {stdOnly: true},
	"examples/go":           {never: withoutServer},
	"cmd/internal/simulate": {ours: []string{"bridge", "bridge/client", "bridge/config"}, never: withoutNATS},
	rig:                     {never: []string{echo}},
}

const rig = "cmd/internal/rig"

// forTests are packages that only tests, and each other, may import.
var forTests = []string{"bridge/internal/contracts/contractstest", "bridge/internal/view/fold/foldtest", "bridge/internal/stream/streamtest", "internal/certificate/certificatetest", "internal/natstest", "internal/needs", "consumers/consumertest"}

// allows reports whether the package name may import ours. A rule that ends with a star
// covers everything below a folder. Internal packages are below everything, so only their
// own imports are drawn.
func (a arrow) allows(name, ours string) bool {
	if strings.HasPrefix(ours, "internal/") && !strings.HasPrefix(name, "internal/") {
		return true
	}
	return slices.ContainsFunc(a.ours, func(rule string) bool {
		folder, all := strings.CutSuffix(rule, "*")
		return rule == ours || all && strings.HasPrefix(ours, folder)
	})
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportArrows(t *testing.T) {
	imports := packages(t)
	for name, imported := range imports {
		rule, drawn := arrows[name]
		require.True(t, drawn, "%s is not in the table of arrows", name)
		for _, path := range imported {
			ours, ok := strings.CutPrefix(path, module)
			if !ok {
				continue
			}
			require.True(t, rule.allows(name, ours), "%s imports %s", name, ours)
			require.False(t, strings.HasPrefix(ours, "cmd/") && !strings.HasPrefix(ours, "cmd/internal/"), "%s imports a program", name)
			require.False(t, slices.Contains(forTests, ours) && !slices.Contains(forTests, name), "%s imports %s, which is for tests", name, ours)
		}
		for path, by := range foreign(imports, name) {
			for _, never := range rule.never {
				require.False(t, strings.HasPrefix(path, never), "%s imports %s, by %s", name, path, by)
			}
			first, _, _ := strings.Cut(path, "/")
			require.False(t, rule.stdOnly && strings.Contains(first, "."), "%s imports %s, by %s", name, path, by)
		}
	}
	require.Len(t, imports, len(arrows), "the table names a package that is not there")
}

// packages are the imports of every package of the module.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	require.NoError(t, err)
	imports := map[string][]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return imports
		}
		require.NoError(t, err)
		imports[strings.TrimPrefix(p.ImportPath, module)] = p.Imports
	}
}

// foreign are the packages of others that a package imports, by itself or by packages of
// internal, with the package that imports them.
func foreign(imports map[string][]string, name string) map[string]string {
	found := map[string]string{}
	for _, path := range imports[name] {
		ours, ok := strings.CutPrefix(path, module)
		switch {
		case !ok:
			found[path] = name
		case strings.HasPrefix(ours, "internal/"):
			for path := range foreign(imports, ours) {
				found[path] = ours
			}
		}
	}
	return found
}
