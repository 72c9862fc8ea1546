package forward

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// BenchmarkHandle posts events of 1.2 kB to a server in the same process, 64 at once.
func BenchmarkHandle(b *testing.B) {
	for _, mode := range []Mode{Binary, Structured} {
		b.Run(string(mode), func(b *testing.B) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, "ok")
			}))
			defer srv.Close()
			f, err := New(Config{
				Name: "billing", URL: srv.URL, Mode: mode, Secrets: [][]byte{[]byte(testSecret)}, AllowPrivate: true, Concurrency: 64,
			})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			ev := newEvent("pred_1")
			ev.Body = []byte(`{"id":"pred_1","x":"` + strings.Repeat("x", 1200) + `"}`)
			events := make(chan struct{}, b.N)
			for range b.N {
				events <- struct{}{}
			}
			close(events)
			b.ReportAllocs()
			b.ResetTimer()
			var workers sync.WaitGroup
			for range 64 {
				workers.Go(func() {
					for range events {
						if err := f.Handle(context.Background(), ev); err != nil {
							b.Error(err)
						}
					}
				})
			}
			workers.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
		})
	}
}
