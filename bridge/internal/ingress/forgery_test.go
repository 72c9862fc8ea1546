package ingress

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// forge posts wrong signatures from many connections until the returned function is called,
// which returns their number. Each must be answered 401.
func forge(t testing.TB, b *bench, connections int) func() int {
	t.Helper()
	stop := make(chan struct{})
	var group errgroup.Group
	counts := make([]int, connections)
	for i := range connections {
		group.Go(func() error {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return nil
				default:
				}
				r, err := http.NewRequest(http.MethodPost, b.url+"/webhooks/get3w", strings.NewReader(body("forged")))
				if err != nil {
					return err
				}
				r.Header.Set("X-Get3w-Signature", strings.Repeat("0", 64))
				res, err := transport.RoundTrip(r)
				if err != nil {
					return err
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != http.StatusUnauthorized {
					return fmt.Errorf("a forgery was answered %s", res.Status)
				}
				counts[i]++
			}
		})
	}
	return func() (n int) {
		close(stop)
		require.NoError(t, group.Wait())
		for _, c := range counts {
			n += c
		}
		return n
	}
}

func TestGoodAmongForgeries(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	stop := forge(t, b, 32)
	for i := range 200 {
		require.Equal(t, 200, do(t, request(t, b.url+"/webhooks/get3w", body(strconv.Itoa(i)))).status)
	}
	require.Positive(t, stop())
	require.Len(t, b.pub.published(), 200)
	b.settled(t)
}

// BenchmarkGood measures good deliveries, quiet and among forgeries, without a
// store: `go test ./bridge/ingress -run '^$' -bench Good -benchtime 5s`.
func BenchmarkGood(b *testing.B) {
	for _, forgers := range []int{0, 8, 32} {
		b.Run(fmt.Sprintf("forgers=%d", forgers), func(b *testing.B) {
			server := start(b, Config{})
			r := request(b, server.url+"/webhooks/get3w", body("good"))
			stop := forge(b, server, forgers)
			var took []time.Duration
			for b.Loop() {
				r.Body = io.NopCloser(strings.NewReader(body("good")))
				began := time.Now()
				res := do(b, r)
				took = append(took, time.Since(began))
				require.Equal(b, 200, res.status)
			}
			forged := stop()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(forged)/b.Elapsed().Seconds(), "forged/s")
		})
	}
}
