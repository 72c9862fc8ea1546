package source

import (
	"crypto/ed25519"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the proof of a delivery of 2 KiB costs with each kind, in µs of processor time, and with the slowest of those
// that share a secret and of those with Ed25519.
func BenchmarkVerify(b *testing.B) {
	type one struct {
		name    string
		src     *Source
		d       Delivery
		ed25519 bool
		took    float64
	}
	var all []*one
	for name, s := range samples(b) {
		src := s.source(b, kindOf(name), s.secrets()...)
		if src.kind.Proof == nil {
			continue
		}
		s.body += strings.Repeat(" ", max(0, 2<<10-len(s.body)))
		d := s.delivery(b, src, received)
		require.NoError(b, src.verify(&d), name)
		all = append(all, &one{name: strings.ReplaceAll(name, ", ", "-"), src: src, d: d, ed25519: name == "fal" || len(s.private) >= ed25519.SeedSize})
	}
	message, key := make([]byte, 2<<10), signingKey(b)
	signature, public, itself := ed25519.Sign(key, message), key.Public().(ed25519.PublicKey), 0.0
	const times = 100
	b.ResetTimer()
	for b.Loop() {
		began := processorTime(b)
		for range times {
			if !ed25519.Verify(public, message, signature) {
				b.Fatal("the signature is right")
			}
		}
		itself += (processorTime(b) - began) / times
		for _, k := range all {
			began := processorTime(b)
			for range times {
				if err := k.src.verify(&k.d); err != nil {
					b.Fatal(err)
				}
			}
			k.took += (processorTime(b) - began) / times
		}
	}
	slowest := map[bool]float64{}
	for _, k := range all {
		took := k.took / float64(b.N)
		b.ReportMetric(took, k.name+"-µs")
		slowest[k.ed25519] = max(slowest[k.ed25519], took)
	}
	b.ReportMetric(itself/float64(b.N), "itself-µs")
	b.ReportMetric(slowest[false], "secret-µs")
	b.ReportMetric(slowest[true], "Ed25519-µs")
}

// processorTime is that of the process so far, in µs, which other programs do not change.
func processorTime(b *testing.B) float64 {
	b.Helper()
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1000
}
