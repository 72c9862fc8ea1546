package predictions

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// A server that falls silent during a scan does not end it early: a new leader would never
// poll for the rest.
func TestSilentServerEndsNoScan(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const keys = 2*scanBlock + 7
	for n := range keys {
		_, err := r.JS.PublishAsync(r.Names.PredictionsSubject(openKey(fmt.Sprint(n))), []byte("{}"))
		require.NoError(t, err)
	}
	<-r.JS.PublishAsyncComplete()
	stream, err := r.JS.Stream(t.Context(), r.Names.PredictionsStream())
	require.NoError(t, err)
	b := &bucket{Reader: r.reader}
	scan := func(visit func()) (seen int, err error) {
		err = b.scan(t.Context(), bridge.KeyOpen+".>", 1, func(value) error {
			if seen++; seen == scanBlock {
				visit()
			}
			return nil
		})
		return seen, err
	}
	seen, err := scan(func() {})
	require.NoError(t, err)
	require.Equal(t, keys, seen)

	_, err = scan(func() {
		names := stream.ConsumerNames(t.Context())
		for name := range names.Name() {
			_, err := stream.PauseConsumer(t.Context(), name, time.Now().Add(time.Hour))
			require.NoError(t, err)
		}
	})
	require.ErrorContains(t, err, "1007 are missing")
}
