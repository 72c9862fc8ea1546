package forward

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/dialguard"
)

func TestReach(t *testing.T) {
	t.Parallel()
	var methods []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		methods = append(methods, r.Method)
		w.WriteHeader(http.StatusMethodNotAllowed)
	}))
	require.NoError(t, Reach(t.Context(), Config{Name: "a", URL: s.URL + "/TOKEN", AllowPrivate: true}))
	require.Equal(t, []string{http.MethodHead}, methods)
	require.ErrorIs(t, Reach(t.Context(), Config{Name: "a", URL: s.URL + "/TOKEN"}), dialguard.ErrBlocked)
	s.Close()
	err := Reach(t.Context(), Config{Name: "a", URL: s.URL + "/TOKEN", AllowPrivate: true})
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error(), "TOKEN")
}
