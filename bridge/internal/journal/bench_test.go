package journal

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkAppend appends records of 1,500 bytes, as many at once as senders wait.
func BenchmarkAppend(b *testing.B) {
	for _, senders := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(senders), func(b *testing.B) {
			j := open(b, b.TempDir(), Config{})
			require.NoError(b, j.Begin())
			template := sized(1, 1200)
			b.SetBytes(1500)
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for i := range senders {
				all.Go(func() {
					for n := i; n < b.N; n += senders {
						r := *template
						if j.Append(context.Background(), &r) != nil {
							panic("append failed")
						}
						if r.Sequence%1000 == 0 {
							j.Settle(r.Sequence, nil)
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
