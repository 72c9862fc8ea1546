package journal

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge"
)

func TestMain(m *testing.M) {
	if runAsChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// alarms collects what was raised.
type alarms struct {
	mu  sync.Mutex
	all []bridge.Alarm
}

func (a *alarms) Raise(alarm bridge.Alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, alarm)
}

func (a *alarms) of(kind string) []bridge.Alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []bridge.Alarm
	for _, alarm := range a.all {
		if alarm.Kind == kind {
			found = append(found, alarm)
		}
	}
	return found
}

// never is an interval for tests that write the position down by Close alone.
const never = 24 * time.Hour

func open(t testing.TB, dir string, cfg Config) *Journal {
	t.Helper()
	if cfg.interval == 0 {
		cfg.interval = never
	}
	j, err := Open(dir, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// record n is the same in every run; its body has n bytes more than a line.
func record(n int) *Record {
	body := fmt.Appendf(nil, "record %d ", n)
	return &Record{
		Stream: "HOOKSPAN_EVENTS", Subject: fmt.Sprintf("hookspan.events.get3w.%d", n),
		Header: map[string][]string{bridge.HeaderMsgID: {fmt.Sprint("get3w:", n)}, "ce-id": {fmt.Sprint(n)}, "none": {}, "two": {"", "2"}},
		Body:   append(body, bytes.Repeat([]byte{byte(n)}, n%1500)...),
	}
}

func sized(n, size int) *Record {
	r := record(n)
	r.Body = make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	_, _ = random.Read(r.Body)
	return r
}

func add(t testing.TB, j *Journal, records ...*Record) {
	t.Helper()
	require.NoError(t, j.Append(context.Background(), records...))
}

// fill appends records from to one before to, each by itself.
func fill(t testing.TB, j *Journal, from, to int) []*Record {
	t.Helper()
	var all []*Record
	for n := from; n < to; n++ {
		all = append(all, record(n))
		add(t, j, all[len(all)-1])
	}
	return all
}

// drain reads everything behind a sequence that is there now.
func drain(t testing.TB, j *Journal, after uint64) (all []Record, through uint64) {
	t.Helper()
	for last := j.State().Last; after < last; {
		records, next, err := j.Next(context.Background(), after, 100, 1<<20)
		require.NoError(t, err)
		require.Greater(t, next, after, "every call gets on")
		all, after = append(all, records...), next
	}
	return all, after
}

// same requires that exactly these records were read, in their order.
func same(t testing.TB, want []*Record, got []Record) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, *want[i], got[i])
	}
}
