package bridge

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func testAttempt() Attempt {
	return Attempt{
		Event: "pred_1/completed/80220a90bd2adbcf", Source: "get3w", Prediction: "pred_1", Sequence: 7,
		At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Took: 0.25, Try: 2, Verdict: VerdictRetry,
		Error: "the target answers 503", Next: time.Date(2026, 1, 2, 3, 4, 7, 0, time.UTC),
	}
}

func TestAttemptsOnTheWire(t *testing.T) {
	t.Parallel()
	retry, done := testAttempt(), testAttempt()
	done.Try, done.Verdict, done.Error, done.Next, done.Sequence = 3, VerdictDone, "", time.Time{}, 0
	block, err := EncodeAttempts([]Attempt{retry, done})
	require.NoError(t, err)
	require.JSONEq(t, `[
		{"event":"pred_1/completed/80220a90bd2adbcf","source":"get3w","prediction":"pred_1","seq":7,"at":"2026-01-02T03:04:05.000000006Z",
		 "took":0.25,"try":2,"verdict":"retry","error":"the target answers 503","next":"2026-01-02T03:04:07Z"},
		{"event":"pred_1/completed/80220a90bd2adbcf","source":"get3w","prediction":"pred_1","at":"2026-01-02T03:04:05.000000006Z",
		 "took":0.25,"try":3,"verdict":"done"}]`, string(block))
	got, err := DecodeAttempts(block)
	require.NoError(t, err)
	require.Equal(t, []Attempt{retry, done}, got)

	require.Equal(t, "hookspan.attempts.billing", Names{}.AttemptsTold("billing"))
	require.Equal(t, "billing", Names{}.AttemptsConsumer("hookspan.attempts.billing"))
	for _, other := range []string{"", "hookspan.attempts.", "hookspan.attempts.a.b", "hookspan.attempts.\x1b[31m", "hookspan.attempts.A", "mine.attempts.a"} {
		require.Empty(t, Names{}.AttemptsConsumer(other))
	}
}

func TestErrorsOfAttemptsAreBoundedAndPrintable(t *testing.T) {
	t.Parallel()
	for _, hostile := range []string{
		strings.Repeat("x", 1<<20), strings.Repeat("\x1b[31m", 1<<18), strings.Repeat("é", 1023), strings.Repeat("\xff", 5000), "a\r\nb\x00\u202e",
	} {
		a := testAttempt()
		a.Error = hostile
		block, err := EncodeAttempts([]Attempt{a})
		require.NoError(t, err)
		got, err := DecodeAttempts(block)
		require.NoError(t, err)
		require.NotEmpty(t, got[0].Error)
		require.LessOrEqual(t, len(got[0].Error), 1<<10)
		require.NotContains(t, got[0].Error, "\x1b")
		require.NotContains(t, got[0].Error, "\n")
	}
}

// A value is refused on both sides, so that no honest program writes what no view reads.
func TestImpossibleAttempts(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(*Attempt){
		"no event":        func(a *Attempt) { a.Event = "" },
		"a long event":    func(a *Attempt) { a.Event = strings.Repeat("x", 1025) },
		"bytes":           func(a *Attempt) { a.Event = "\xff" },
		"long prediction": func(a *Attempt) { a.Prediction = strings.Repeat("x", MaxPredictionID+1) },
		"a source":        func(a *Attempt) { a.Source = "a.b" },
		"a sequence":      func(a *Attempt) { a.Sequence = math.MaxUint64 },
		"a try":           func(a *Attempt) { a.Try = -1 },
		"a negative time": func(a *Attempt) { a.Took = -1 },
		"an endless time": func(a *Attempt) { a.Took = math.Inf(1) },
		"no number":       func(a *Attempt) { a.Took = math.NaN() },
		"no end":          func(a *Attempt) { a.At = time.Time{} },
		"the year 9999":   func(a *Attempt) { a.Next = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) },
		"a verdict":       func(a *Attempt) { a.Verdict = "\x1b[2J" },
	} {
		a := testAttempt()
		spoil(&a)
		_, err := EncodeAttempts([]Attempt{testAttempt(), a})
		require.Error(t, err, what)
		require.Less(t, len(err.Error()), 300)
	}
	good, err := EncodeAttempts([]Attempt{testAttempt()})
	require.NoError(t, err)
	for _, wrong := range []string{
		``, `null`, `{}`, `7`, `[`, `[{}]`, `[null]`, `[] []`, `[7]`, string(good) + "x", string(good[:len(good)-1]),
		strings.Replace(string(good), `"seq":7`, `"seq":18446744073709551615`, 1),
		strings.Replace(string(good), `"try":2`, `"try":1e40`, 1),
		strings.Replace(string(good), `"try":2`, `"deep":`+strings.Repeat("[", 100_000), 1),
		"[" + strings.Repeat("{},", 80_000) + "{}]",
		string(good) + strings.Repeat(" ", MaxAttemptsBytes),
	} {
		_, err := DecodeAttempts([]byte(wrong))
		require.Error(t, err, "%.80s", wrong)
		require.Less(t, len(err.Error()), 300)
	}
}

func TestBlocksOfAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	many := make([]Attempt, MaxAttempts+1)
	for i := range many {
		many[i] = testAttempt()
		many[i].Error = ""
	}
	_, err := EncodeAttempts(many)
	require.ErrorIs(t, err, errAttemptsLimit)
	block, err := EncodeAttempts(many[:MaxAttempts])
	require.NoError(t, err, "ordinary attempts fill a block")
	got, err := DecodeAttempts(block)
	require.NoError(t, err)
	require.Len(t, got, MaxAttempts)
	for i := range many {
		many[i].Error = strings.Repeat("x", 1<<20)
	}
	_, err = EncodeAttempts(many[:MaxAttempts])
	require.ErrorIs(t, err, errAttemptsLimit)
}

func FuzzDecodeAttempts(f *testing.F) {
	block, err := EncodeAttempts([]Attempt{testAttempt(), testAttempt()})
	require.NoError(f, err)
	f.Add(block)
	f.Add([]byte(`[{"event":"a","source":"a","at":"2026-01-02T03:04:05+23:59","verdict":"done","error":"\u001b"}]`))
	f.Fuzz(func(t *testing.T, block []byte) {
		got, err := DecodeAttempts(block)
		if err != nil {
			return
		}
		if len(got) > MaxAttempts {
			t.Fatalf("%d attempts", len(got))
		}
		again, err := EncodeAttempts(got)
		if err != nil {
			return // escapes may make it larger than the limit
		}
		same, err := DecodeAttempts(again)
		if err != nil || len(same) != len(got) {
			t.Fatalf("%q is written as %q: %v", block, again, err)
		}
		for i := range got {
			if !got[i].At.Equal(same[i].At) || !got[i].Next.Equal(same[i].Next) {
				t.Fatalf("%v is written as %v", got[i], same[i])
			}
			got[i].At, got[i].Next, same[i].At, same[i].Next = time.Time{}, time.Time{}, time.Time{}, time.Time{}
			if !reflect.DeepEqual(got[i], same[i]) {
				t.Fatalf("%+v is written as %+v", got[i], same[i])
			}
		}
	})
}
