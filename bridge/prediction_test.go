package bridge

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParsePrediction(t *testing.T) {
	t.Parallel()
	p, err := ParsePrediction([]byte(`{"id":"a","ID":"b","Id":"c","model":"get3w/flux-dev","status":"completed",
		"outputs":["https://cdn.get3w.com/x.png","plain text",{"k":1}],"timings":{"inference":2500.5},
		"created_at":"2024-01-01T12:00:00.000Z","completed_at":"2024-01-01T14:00:03.000+02:00","input":{"prompt":"x"},"extra":[1]}`))
	require.NoError(t, err)
	require.Equal(t, "a", p.ID)
	require.Equal(t, "get3w/flux-dev", p.Model)
	require.Equal(t, []Output{
		{URL: "https://cdn.get3w.com/x.png", Raw: json.RawMessage(`"https://cdn.get3w.com/x.png"`)},
		{Raw: json.RawMessage(`"plain text"`)},
		{Raw: json.RawMessage(`{"k":1}`)},
	}, p.Outputs)
	require.Equal(t, 2500500*time.Microsecond, p.Inference)
	require.True(t, p.CompletedAt.Equal(time.Date(2024, 1, 1, 12, 0, 3, 0, time.UTC)))
	require.JSONEq(t, `{"prompt":"x"}`, string(p.Input))
}

func TestTimesThatCannotTravelAreNone(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00", "2024-01-01 12:00:00Z", "2024-01-01T12:00:00"} {
		p, err := ParsePrediction([]byte(`{"completed_at":"` + at + `"}`))
		require.NoError(t, err)
		require.Zero(t, p.CompletedAt, at)
	}
}

func TestParsePredictionIsLenient(t *testing.T) {
	t.Parallel()
	p, err := ParsePrediction([]byte(`{"id":5,"model":{},"status":null,"outputs":"HTTPS://x/y","error":{"code":3},
		"timings":{"inference":"fast"},"created_at":0,"completed_at":"soon"}`))
	require.NoError(t, err)
	require.Equal(t, &Prediction{
		Outputs: []Output{{URL: "HTTPS://x/y", Raw: json.RawMessage(`"HTTPS://x/y"`)}},
		Error:   `{"code":3}`,
	}, p)
	for _, body := range []string{``, `null`, `[]`, `"x"`, `{`, `{}x`} {
		_, err := ParsePrediction([]byte(body))
		require.Error(t, err, body)
	}
}

func FuzzParsePrediction(f *testing.F) {
	for _, body := range []string{
		`{"id":"a","outputs":["x",null],"timings":{"inference":1e400}}`, `{"id":"a","id":"b"}`, "{\"id\":\"\xff\",\"\xff\":1}", ` { "\u0069d" : "\ud800" } `,
		`{"id":"a"} x`, `{"id":"a"}{}`, `{"id":"a",}`, `{"id"}`, `{"id":01}`, `{`, `[]`, `null`, `nul`, ``, `}`, strings.Repeat(`{"a":`, 10_001), strings.Repeat(`{"a":`, 9999) + "1" + strings.Repeat("}", 9999),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := ParsePrediction(body)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v with error %v", p, err)
		}
		if p != nil && p.Inference < 0 {
			t.Fatal(p.Inference)
		}
	})
}
