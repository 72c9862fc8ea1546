package bridge

import "testing"

// One operation is one attempt, in a full block.
func BenchmarkEncodeAttempts(b *testing.B) {
	block := make([]Attempt, MaxAttempts)
	for i := range block {
		block[i] = testAttempt()
		block[i].Error = ""
	}
	b.ReportAllocs()
	for range b.N/len(block) + 1 {
		if _, err := EncodeAttempts(block); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeAttempts(b *testing.B) {
	attempts := make([]Attempt, MaxAttempts)
	for i := range attempts {
		attempts[i] = testAttempt()
		attempts[i].Error = ""
	}
	block, err := EncodeAttempts(attempts)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for range b.N/len(attempts) + 1 {
		if _, err := DecodeAttempts(block); err != nil {
			b.Fatal(err)
		}
	}
}
