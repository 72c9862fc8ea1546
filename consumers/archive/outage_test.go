package archive

import (
	"context"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// A store that cannot be written lets no event be fetched, and says so until it can be.
func TestStoreThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("image")) })
	b := setup(t, nil)
	b.outage.poll = time.Millisecond
	require.NoError(t, b.handle(newEvent("before", srv.URL+"/a.png")))
	require.NoError(t, os.Rename(b.dir, b.dir+".aside"))
	require.NoError(t, os.WriteFile(b.dir, nil, 0o600)) // root can write in every folder, but not in a file

	err := b.handle(newEvent("p", srv.URL+"/a.png"))
	require.ErrorContains(t, err, "archiving: "+b.dir+" cannot be written: not a directory: ")
	since, why := b.Blocked()
	require.WithinDuration(t, time.Now(), since, time.Minute)
	require.Equal(t, b.dir+" cannot be written: not a directory; repair that, or change consumers.archive.store", why)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	b.Wait(gone)
	passed := make(chan struct{})
	go func() {
		b.Wait(t.Context())
		close(passed)
	}()
	require.Eventually(t, func() bool { return b.alarms(bridge.AlarmArchiveFailed) > 3 }, 10*time.Second, time.Millisecond)
	require.Contains(t, b.raised.Of(bridge.AlarmArchiveFailed)[0].Text, "not a directory; repair that, or change consumers.archive.store: events wait meanwhile")
	select {
	case <-passed:
		require.Fail(t, "an event is fetched")
	default:
	}

	require.NoError(t, os.Remove(b.dir))
	require.NoError(t, os.Rename(b.dir+".aside", b.dir))
	<-passed
	since, why = b.Blocked()
	require.Zero(t, since)
	require.Empty(t, why)
	raised := b.raised.Of(bridge.AlarmArchiveFailed)
	require.True(t, raised[len(raised)-1].Cleared)
	require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.png")))
}

// What fails at the provider, or has failed for a moment, is no outage of the store.
func TestOtherFailuresAreNoOutage(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	b := setup(t, nil)
	require.ErrorContains(t, b.handle(newEvent("p", srv.URL+"/a.png")), "answered 500")
	err := b.outage.found(t.Context(), errStored)
	require.Equal(t, errStored, err)
	b.Wait(t.Context())
	require.Zero(t, b.alarms(bridge.AlarmArchiveFailed))
}
