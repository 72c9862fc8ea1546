package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/internal/adminapi"
)

func change(who, scope string) adminapi.Change {
	count := 3
	return adminapi.Change{
		At: time.Now().UTC(), Who: who, Scope: scope, Route: "POST /dead/drop", Path: "/dead/drop", Selection: `{"consumer":"billing"}`,
		Count: &count, Status: 200, From: "192.0.2.1", RequestID: "ABC",
	}
}

// who lists who changed something, page by page.
func who(t *testing.T, l *Log, limit int) (names []string) {
	t.Helper()
	last := uint64(1 << 62)
	for from := uint64(0); ; {
		changes, next, _, err := l.List(from, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(changes), limit)
		for _, c := range changes {
			require.Less(t, c.Seq, last, "the newest comes first, and each once")
			last = c.Seq
			names = append(names, c.Who)
		}
		if next == 0 {
			return names
		}
		from = next
	}
}

// Lines are kept in order across both series, pages and restarts, and nobody else reads them.
func TestAudit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := []string{}
	for range 3 {
		l := New(dir, zap.NewNop())
		for range 7 {
			name := fmt.Sprint("t", len(want))
			scope := adminapi.ScopeAct
			if len(want)%3 == 0 {
				scope = adminapi.ScopeSubmit
			}
			l.Append(change(name, scope))
			want = append([]string{name}, want...)
		}
		require.Equal(t, want, who(t, l, 2))
		require.Equal(t, want, who(t, l, 1000))
		require.NoError(t, l.Close())
	}
	l := New(dir, zap.NewNop())
	changes, _, lost, err := l.List(0, 1)
	require.NoError(t, err)
	require.Zero(t, lost)
	expected := change("t20", adminapi.ScopeAct)
	expected.Seq, expected.At = 21, changes[0].At
	require.Equal(t, expected, changes[0])
	for _, name := range []string{"audit.json", "audit-submit.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}
}

// Old lines go when there are too many. Submissions do not push out what operators did.
func TestAuditIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := New(dir, zap.NewNop())
	l.acts.max, l.submits.max = 2000, 2000
	l.Append(change("operator", adminapi.ScopeAct))
	for i := range 200 {
		l.Append(change(fmt.Sprint("app", i), adminapi.ScopeSubmit))
	}
	names := who(t, l, 3)
	require.Equal(t, "app199", names[0])
	require.Equal(t, "operator", names[len(names)-1])
	require.Less(t, len(names), 50)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1+maxFiles)
	for _, name := range files {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(2000))
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}
	require.NoError(t, l.Close())
}

// Changes are listed while others are made.
func TestAuditIsReadWhileItIsWritten(t *testing.T) {
	t.Parallel()
	l := New(t.TempDir(), zap.NewNop())
	l.submits.max = 2000
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for range 100 {
				l.Append(change("app", adminapi.ScopeSubmit))
			}
		})
	}
	for range 50 {
		who(t, l, 5)
	}
	writing.Wait()
	changes, _, lost, err := l.List(0, 1)
	require.NoError(t, err)
	require.Zero(t, lost)
	require.EqualValues(t, 400, changes[0].Seq)
	require.NoError(t, l.Close())
}

// smallDisk is a file on a disk that has room for some bytes more.
type smallDisk struct {
	file

	room *int
}

var errFull = errors.New("no space left on device")

func (d smallDisk) Write(p []byte) (int, error) {
	n, err := d.file.Write(p[:min(len(p), *d.room)])
	*d.room -= n
	if err == nil && n < len(p) {
		err = errFull
	}
	return n, err
}

// A full disk loses lines and says so; when it has room again, the audit goes on. No line is
// damaged by what was written of another one.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.ErrorLevel)
	without := 0
	for room := 0; room < 600; room += 5 {
		l, left := New(t.TempDir(), zap.New(core)), room
		open := l.acts.open
		l.acts.open = func(path string) (file, error) {
			f, err := open(path)
			return smallDisk{f, &left}, err
		}
		l.Append(change("one", adminapi.ScopeAct))
		l.Append(change("two", adminapi.ScopeAct))
		left = 1 << 20
		l.Append(change("three", adminapi.ScopeAct))
		l.Append(change("four", adminapi.ScopeAct))
		names := who(t, l, 10)
		require.Subset(t, []string{"four", "three", "two", "one"}, names)
		require.Equal(t, []string{"four", "three"}, names[:2])
		_, _, lost, err := l.List(0, 1)
		require.NoError(t, err)
		require.Equal(t, lost, uint64(testutil.ToFloat64(l.counter)))
		require.GreaterOrEqual(t, len(names)+int(lost), 4)
		if lost == 0 {
			without++
		}
		require.NoError(t, l.Close())
	}
	require.NotZero(t, without)
	require.NotZero(t, logs.FilterMessageSnippet("made all the same").Len())
	for _, entry := range logs.All() {
		require.Contains(t, fmt.Sprint(entry.ContextMap()), errFull.Error())
	}
}

// A file that cannot be opened loses lines, and nothing else.
func TestFileThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	core, logs := observer.New(zap.ErrorLevel)
	l := New(dir, zap.New(core))
	path := filepath.Join(dir, "audit.json")
	require.NoError(t, os.Mkdir(path, 0o700))
	for range 5 {
		l.Append(change("one", adminapi.ScopeAct))
	}
	require.Equal(t, 1, logs.Len(), "it is said once a minute")
	require.NoError(t, os.Remove(path))
	l.Append(change("two", adminapi.ScopeAct))
	changes, next, lost, err := l.List(0, 10)
	require.NoError(t, err)
	require.Len(t, changes, 1)
	require.Zero(t, next)
	require.EqualValues(t, 5, lost)
	require.NoError(t, l.Close())
}

// Whatever a file holds, its lines are listed in their order, and appending goes on.
func FuzzFile(f *testing.F) {
	line, err := json.Marshal(adminapi.Change{Seq: 7, Who: "a"})
	require.NoError(f, err)
	for _, text := range []string{
		"", "\n\n", string(line), string(line) + "\n", string(line) + "\n{\"seq\":8,", "{\"seq\":-1,}\n{\"seq\":18446744073709551615,\"who\":1}\n",
		strings.Repeat("x", readBlock+1) + "\n" + string(line), string(bytes.Repeat(append(line, '\n'), 3000)), `{"store":"embedded"}`,
	} {
		f.Add([]byte(text), uint64(0))
	}
	f.Fuzz(func(t *testing.T, text []byte, from uint64) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "audit.json"), text, 0o600))
		l := New(dir, zap.NewNop())
		changes, _, _, err := l.List(from, 10)
		require.NoError(t, err)
		require.LessOrEqual(t, len(changes), 10)
		for _, c := range changes {
			require.True(t, from == 0 || c.Seq < from)
		}
		l.Append(change("last", adminapi.ScopeAct))
		changes, _, _, err = l.List(0, 1000)
		require.NoError(t, err)
		require.NotEmpty(t, changes)
		require.NoError(t, l.Close())
	})
}
