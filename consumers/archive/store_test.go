package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func write(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func TestStore(t *testing.T) {
	ctx := t.Context()
	s := setup(t, nil).files
	require.NoError(t, s.put(ctx, "a/b/0.txt", "", false, write("one")))
	require.ErrorIs(t, s.put(ctx, "a/b/0.txt", "", false, write("two")), errStored)
	broken := errors.New("broken")
	for _, replace := range []bool{false, true} {
		require.ErrorIs(t, s.put(ctx, "a/b/1.txt", "", replace, func(w io.Writer) error {
			_, err := io.WriteString(w, "half")
			return errors.Join(err, broken)
		}), broken)
	}
	list, err := s.names(ctx, "a/b")
	require.NoError(t, err)
	require.Equal(t, []string{"0.txt"}, list)
	data, err := s.get(ctx, "a/b/0.txt")
	require.NoError(t, err)
	require.Equal(t, "one", string(data))
	require.NoError(t, s.put(ctx, "a/b/0.txt", "", true, write("two")))
	require.Equal(t, "two", readFile(t, s.dir, "a/b/0.txt"))

	_, err = s.get(ctx, "a/b/2.txt")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = s.measure(ctx, "a/b/2.txt")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, s.remove(ctx, "a/b/2.txt"))
	require.Error(t, syncFolders(filepath.Join(s.dir, "c"), s.dir))
	info, err := os.Stat(filepath.Join(s.dir, "a"))
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o027)
}

// Without its temporary name a file cannot be linked, as on a file system that has
// no links, and then not be renamed either, as when another process swept it away.
func TestTemporaryNameIsGone(t *testing.T) {
	s := setup(t, nil).files
	gone := func(w io.Writer) error {
		for _, file := range temporaries(t, s.dir) {
			require.NoError(t, os.Remove(file))
		}
		return write("two")(w)
	}
	require.ErrorIs(t, s.put(t.Context(), "a/0.txt", "", false, gone), fs.ErrNotExist)
	require.Empty(t, names(t, filepath.Join(s.dir, "a")))
	require.NoError(t, s.put(t.Context(), "a/0.txt", "", false, write("one")))
	require.ErrorIs(t, s.put(t.Context(), "a/0.txt", "", false, gone), errStored)
	require.Equal(t, "one", readFile(t, s.dir, "a/0.txt"))
}

// Whoever is first keeps the name, also between processes that share the folder.
func TestOneOfManyWins(t *testing.T) {
	b := setup(t, nil)
	for i := range 20 {
		key := fmt.Sprintf("a/%d.txt", i)
		won := make(chan string, 8)
		var wg sync.WaitGroup
		for n := range cap(won) {
			other, err := openStore(b.dir)
			require.NoError(t, err)
			wg.Go(func() {
				text := fmt.Sprint("writer ", n)
				err := other.put(t.Context(), key, "", false, write(text))
				if err == nil {
					won <- text
				} else if !errors.Is(err, errStored) {
					t.Error(err)
				}
				if err := other.close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Len(t, won, 1)
		require.Equal(t, <-won, readFile(t, b.dir, key))
	}
}

// Another process, which shares the folder, is faster by a hair.
func TestOtherProcessIsFaster(t *testing.T) {
	b := setup(t, nil)
	dir := folder(b.dir, "p")
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if err := os.WriteFile(filepath.Join(dir, "0.png"), []byte("theirs"), 0o600); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, "ours")
	})
	require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.png")))
	require.Equal(t, "theirs", readFile(t, dir, "0.png"))
	require.EqualValues(t, len("theirs"), readManifest(t, dir).Outputs[0].Bytes)

	// Its event is another one of the same prediction.
	other := newEvent("q", "theirs")
	dir = folder(b.dir, "q")
	b.space.reserve = func() (int64, error) { // asked after the folder was found free
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return 0, err
		}
		return 0, os.WriteFile(filepath.Join(dir, eventName), other.Body, 0o600)
	}
	ours := newEvent("q", "ours")
	require.NoError(t, b.handle(ours))
	require.Equal(t, string(other.Body), readFile(t, dir, eventName))
	require.Equal(t, []string{eventName}, names(t, dir))
	require.Equal(t, ours.ID, readManifest(t, dir+"."+filepath.Base(ours.ID)).Event)
}
