package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// A token is what one header holds behind its scheme, and nothing else.
func FuzzBearer(f *testing.F) {
	for _, value := range []string{"", "Bearer", "Bearer ", "Bearer a", "bearer a b", "Basic a", "Bearer\ta", " Bearer a", "Bearer a, Bearer b", "Bearer \xff", "BEARER é"} {
		f.Add(value, "", false)
		f.Add(value, "Bearer a", true)
	}
	f.Fuzz(func(t *testing.T, value, second string, both bool) {
		h := http.Header{"Authorization": {value}}
		if both {
			h.Add("Authorization", second)
		}
		secret, given := admin.Bearer(h)
		require.True(t, given)
		if secret == "" {
			return
		}
		require.False(t, both)
		require.LessOrEqual(t, len(secret), adminapi.MaxToken)
		require.True(t, strings.EqualFold("Bearer ", value[:len(value)-len(secret)]))
		require.Equal(t, secret, value[len(value)-len(secret):])
	})
}

// A text that is cut is a beginning of the text, of whole characters.
func FuzzCut(f *testing.F) {
	f.Add("é", 1)
	f.Add("abc", 2)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if limit < 0 || limit > 1<<20 {
			return
		}
		short := admin.Cut(text, limit)
		require.LessOrEqual(t, len(short), limit)
		require.True(t, strings.HasPrefix(text, short))
		require.True(t, !utf8.ValidString(text) || utf8.ValidString(short))
	})
}
