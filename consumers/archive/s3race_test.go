package archive

import (
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Several outputs at once find out that the store knows no conditions.
func TestStoreWithoutConditionsAtOnce(t *testing.T) {
	t.Parallel()
	store := newBucket(t)
	s := store.open(t)
	const writers = 3
	var together sync.WaitGroup
	together.Add(writers)
	store.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("If-None-Match") == "" {
			return false
		}
		together.Done()
		together.Wait()
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = io.WriteString(w, `<Error><Code>NotImplemented</Code></Error>`)
		return true
	})
	failed := make(chan error, writers)
	for i := range writers {
		go func() {
			failed <- s.put(t.Context(), file{key: "a/" + fileName(i, "txt")}, false, []byte("x"))
		}()
	}
	for range writers {
		require.NoError(t, <-failed)
	}
}
