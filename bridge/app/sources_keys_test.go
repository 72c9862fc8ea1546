package app

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/dialguard"
)

// Keys come over http from this machine alone, over https from public addresses alone, and never by
// a redirect.
func TestKeysAreFetchedFromWhereTheyMay(t *testing.T) {
	t.Parallel()
	serve := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/keys", http.StatusFound)
			return
		}
		_, _ = w.Write([]byte("keys"))
	}
	plain, secure := httptest.NewServer(http.HandlerFunc(serve)), httptest.NewTLSServer(http.HandlerFunc(serve))
	defer plain.Close()
	defer secure.Close()
	document, err := fetchKeys(t.Context(), plain.URL+"/keys")
	require.NoError(t, err)
	require.Equal(t, "keys", string(document))
	_, err = fetchKeys(t.Context(), plain.URL+"/moved")
	require.ErrorContains(t, err, "answered 302")
	for _, address := range []string{secure.URL + "/keys", "http://192.0.2.1/keys", "http://169.254.169.254/keys", "http://10.0.0.1/keys"} {
		_, err = fetchKeys(t.Context(), address)
		require.ErrorIs(t, err, dialguard.ErrBlocked, address)
	}
}
