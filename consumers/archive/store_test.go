package archive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// stores are those that keep the same promises.
func stores(t *testing.T) map[string]store {
	t.Helper()
	d, err := openDisk(filepath.Join(t.TempDir(), "deep"))
	require.NoError(t, err)
	return map[string]store{"disk": d, "bucket": newBucket(t).open(t)}
}

// fill stores an output.
func fill(t *testing.T, s store, key string, r io.Reader) error {
	t.Helper()
	_, err := s.stream(t.Context(), file{key: key}, r)
	return err
}

func TestStore(t *testing.T) {
	t.Parallel()
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			f := file{"a/b/0.txt", "text/plain"}
			require.NoError(t, s.put(ctx, f, false, []byte("one")))
			require.ErrorIs(t, s.put(ctx, f, false, []byte("two")), errStored)
			require.ErrorIs(t, fill(t, s, f.key, strings.NewReader("two")), errStored)
			broken := errors.New("broken")
			half := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
			require.ErrorIs(t, fill(t, s, "a/b/1.txt", half), broken)
			list, err := s.names(ctx, "a/b")
			require.NoError(t, err)
			require.Equal(t, []string{"0.txt"}, list)
			data, err := s.get(ctx, f.key)
			require.NoError(t, err)
			require.Equal(t, "one", string(data))
			require.NoError(t, s.put(ctx, f, true, []byte("two")))
			data, err = s.get(ctx, f.key)
			require.NoError(t, err)
			require.Equal(t, "two", string(data))

			require.NoError(t, fill(t, s, "a/b/1.png", strings.NewReader("three")))
			m, err := s.measure(ctx, "a/b/1.png")
			require.NoError(t, err)
			sum := sha256.Sum256([]byte("three"))
			require.Equal(t, sum[:], m.sha256)
			require.EqualValues(t, 5, m.bytes)
			require.WithinDuration(t, time.Now(), m.at, time.Minute)
			require.NoError(t, s.sync("a/b"))
			size, err := s.size(ctx)
			require.NoError(t, err)
			require.EqualValues(t, 8, size)

			_, err = s.get(ctx, "a/b/2.txt")
			require.ErrorIs(t, err, fs.ErrNotExist)
			_, err = s.measure(ctx, "a/b/2.txt")
			require.ErrorIs(t, err, fs.ErrNotExist)
			for _, key := range []string{"a/b/2.txt", "a/b/1.png"} {
				_, err = s.remove(ctx, key)
				require.NoError(t, err)
			}
			list, err = s.names(ctx, "a/b")
			require.NoError(t, err)
			require.Equal(t, []string{"0.txt"}, list)
		})
	}
}

func TestDiskFolder(t *testing.T) {
	t.Parallel()
	s := stores(t)["disk"].(*disk)
	require.NoError(t, s.put(t.Context(), file{key: "a/0.txt"}, false, nil))
	require.Error(t, s.sync("c"))
	info, err := os.Stat(filepath.Join(s.dir, "a"))
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o027)
	require.Equal(t, "file://"+s.dir+"/a%20b/0.txt", s.address("a b/0.txt"))
}

// Without its temporary name a file cannot be linked, as on a file system that has
// no links, and then not be renamed either, as when another process swept it away.
func TestTemporaryNameIsGone(t *testing.T) {
	t.Parallel()
	s := stores(t)["disk"].(*disk)
	gone := func() io.Reader {
		return readerFunc(func([]byte) (int, error) {
			for _, file := range temporaries(t, s.dir) {
				require.NoError(t, os.Remove(file))
			}
			return 0, io.EOF
		})
	}
	require.ErrorIs(t, fill(t, s, "a/0.txt", gone()), fs.ErrNotExist)
	require.Empty(t, names(t, filepath.Join(s.dir, "a")))
	require.NoError(t, fill(t, s, "a/0.txt", strings.NewReader("one")))
	require.ErrorIs(t, fill(t, s, "a/0.txt", gone()), errStored)
	require.Equal(t, "one", readFile(t, s.dir, "a/0.txt"))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// The first writer keeps the name, also between processes that share the folder.
func TestOneOfManyWins(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for i := range 20 {
		key := fmt.Sprintf("a/%d.txt", i)
		won := make(chan string, 8)
		var wg sync.WaitGroup
		for n := range cap(won) {
			other, err := openDisk(b.dir)
			require.NoError(t, err)
			wg.Go(func() {
				text := fmt.Sprint("writer ", n)
				err := other.put(t.Context(), file{key: key}, false, []byte(text))
				if err == nil {
					won <- text
				} else if !errors.Is(err, errStored) {
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
	t.Parallel()
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
