package retryafter

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-1": 0, "1.5": 0, "0": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "86401": Max,
		"18446744073709551615": Max, "99999999999999999999999": Max,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute,
		now.Add(-time.Hour).Format(http.TimeFormat):  0,
		"Fri, 31 Dec 9999 23:59:59 GMT":              Max,
	} {
		require.Equal(t, want, Parse(value, now), "%q", value)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("120")
	f.Add("Wed, 21 Oct 2026 07:28:00 GMT")
	f.Fuzz(func(t *testing.T, value string) {
		if d := Parse(value, time.Now()); d < 0 || d > Max {
			t.Fatalf("%q gives %v", value, d)
		}
	})
}
