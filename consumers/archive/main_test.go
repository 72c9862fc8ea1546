package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && (os.Args[1] == childHandle || os.Args[1] == childDial) {
		os.Exit(child(os.Args[1], os.Args[2], os.Args[3]))
	}
	if err := awsEnvironment(); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// awsEnvironment names the credentials of the buckets of the tests, and nothing of the machine's.
func awsEnvironment() error {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret-of-the-store", "AWS_CONFIG_FILE": os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"} {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return nil
}

var eventTime = time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", -6*3600))

// newEvent makes the event of a completed prediction. Outputs are addresses, or
// anything that JSON can say.
func newEvent(id string, outputs ...any) *bridge.Event {
	if outputs == nil {
		outputs = []any{}
	}
	body, err := json.Marshal(map[string]any{"id": id, "status": "completed", "outputs": outputs})
	if err != nil {
		panic(err)
	}
	return &bridge.Event{
		ID:           bridge.NewEventID(id, bridge.StatusCompleted, body),
		Source:       "get3w",
		PredictionID: id,
		Model:        "get3w/flux-dev",
		Status:       bridge.StatusCompleted,
		Time:         eventTime,
		Signature:    "00ff",
		Body:         body,
	}
}

// folder is where the events of the tests lie.
func folder(root, id string) string {
	return filepath.Join(root, "get3w", "2026", "01", "02", bridge.EncodeToken(id))
}

// bundle is an archive in a folder of its own that may download from loopback.
type bundle struct {
	*Archive
	dir    string
	raised *natstest.Alarms
	logs   *observer.ObservedLogs
}

func setup(t testing.TB, change func(*Config)) *bundle {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	alarms := &natstest.Alarms{}
	c := Config{
		Name: "archive", Location: Location{Dir: filepath.Join(t.TempDir(), "deep", "archive")}, Hosts: []string{"127.0.0.1"}, AllowPrivate: true,
		Alarms: alarms, Logger: slog.New(zapslog.NewHandler(core)),
	}
	if change != nil {
		change(&c)
	}
	a, err := New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return &bundle{Archive: a, dir: c.Location.Dir, raised: alarms, logs: logs}
}

func (b *bundle) handle(ev *bridge.Event) error { return b.Handle(context.Background(), ev) }

func (b *bundle) alarms(kind string) int { return len(b.raised.Of(kind)) }

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// refusing is a server that no download may reach.
func refusing(t testing.TB) *httptest.Server {
	return serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) })
}

// snapshot is everything under root: names, bytes, times of change.
func snapshot(t testing.TB, root string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	require.NoError(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var data []byte
		if !d.IsDir() {
			if data, err = os.ReadFile(p); err != nil {
				return err
			}
		}
		files[p] = fmt.Sprint(info.ModTime().UnixNano(), " ", string(data))
		return nil
	}))
	return files
}

// names are the files in a folder.
func names(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	out := make([]string, 0, len(list))
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// temporaries are the files under root that are not whole yet. It opens none of them: another
// process may rename them meanwhile.
func temporaries(t testing.TB, root string) []string {
	t.Helper()
	var out []string
	require.NoError(t, filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(p, ".tmp") || strings.HasSuffix(p, ".part") {
			out = append(out, p)
		}
		return err
	}))
	return out
}

func readManifest(t testing.TB, dir string) *manifest {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	require.NoError(t, err)
	m, err := decodeManifest(data)
	require.NoError(t, err)
	return m
}

func readFile(t testing.TB, parts ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	require.NoError(t, err)
	return string(data)
}
