package archive

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var readOf = Prediction{"get3w", "pred/1"}

const readFolder = "get3w/2026/01/02/pred=2F1"

// An output is read from any byte on, from a folder as from a bucket.
func TestReader(t *testing.T) {
	t.Parallel()
	bucket, dir := newBucket(t), t.TempDir()
	large := sample(sectionSize + 1000)
	for name, c := range map[string]Config{"disk": {Location: Location{Dir: dir}}, "bucket": {Location: bucket.location(t), AllowPrivate: true}} {
		s, err := openStore(c.withDefaults())
		require.NoError(t, err, name)
		put := func(key string, data []byte) string {
			require.NoError(t, s.put(t.Context(), file{key: key}, false, data), name)
			return s.address(key)
		}
		address, empty, again := put(readFolder+"/0.png", large), put(readFolder+"/1.txt", nil), put(readFolder+".0f/2.png", []byte("of a second end"))
		put(readFolder+"/manifest.json", []byte("{}"))
		put("get3w/2026/01/02/pred/0.png", []byte("of another prediction"))

		r := NewReader(c)
		f, err := r.Open(t.Context(), address, readOf, 0)
		require.NoError(t, err, name)
		require.Equal(t, int64(len(large)), f.Size, name)
		require.Equal(t, large[:sniffed], f.Head, name)
		all, err := io.ReadAll(f)
		require.NoError(t, err, name)
		require.Equal(t, large, all, name)
		for _, at := range []int{0, 5, sectionSize - 3, len(large) - 1} {
			_, err := f.Seek(int64(at), io.SeekStart)
			require.NoError(t, err)
			part := make([]byte, min(10, len(large)-at))
			_, err = io.ReadFull(f, part)
			require.NoError(t, err, "%s from %d", name, at)
			require.Equal(t, large[at:at+len(part)], part, "%s from %d", name, at)
		}
		end, err := f.Seek(0, io.SeekEnd)
		require.NoError(t, err)
		require.Equal(t, f.Size, end)
		_, err = f.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		_, err = f.Seek(-1, io.SeekStart)
		require.Error(t, err)
		require.NoError(t, f.Close())

		f, err = r.Open(t.Context(), empty, readOf, 1)
		require.NoError(t, err, name)
		text, err := io.ReadAll(f)
		require.NoError(t, err, name)
		require.Empty(t, text)
		require.NoError(t, f.Close())
		f, err = r.Open(t.Context(), again, readOf, 2)
		require.NoError(t, err, name)
		require.Equal(t, "of a second end", string(f.Head))
		require.NoError(t, f.Close())

		root := strings.TrimSuffix(address, readFolder+"/0.png")
		for _, wrong := range []string{
			"", "0.png", root, root + readFolder + "/manifest.json", root + readFolder + "/event.json", root + "get3w/2026/01/02/pred/0.png", root + readFolder + "/1.txt",
			root + readFolder + "/../0.png", root + readFolder + "/../pred=2F1/0.png", root + "get3w/2026/01/../pred=2F1/0.png", root + "x/" + readFolder + "/0.png", "file:///elsewhere/" + readFolder + "/0.png",
			"s3://other/" + readFolder + "/0.png", "https://example.com/" + readFolder + "/0.png", "file:///etc/passwd", address + "?x", address + "#x", " " + address, address + "/", strings.ToUpper(root) + readFolder + "/0.png",
		} {
			_, err := r.Open(t.Context(), wrong, readOf, 0)
			require.ErrorIs(t, err, ErrNotHere, "%s: %s", name, wrong)
		}
		for _, of := range []Prediction{{"get3w", "pred"}, {"other", "pred/1"}, {"get3w", "../pred=2F1"}, {"", ""}} {
			_, err := r.Open(t.Context(), address, of, 0)
			require.ErrorIs(t, err, ErrNotHere, "%s: %v", name, of)
		}
		_, err = s.remove(t.Context(), readFolder+"/0.png")
		require.NoError(t, err)
		_, err = r.Open(t.Context(), address, readOf, 0)
		require.ErrorIs(t, err, fs.ErrNotExist, name)
		require.NoError(t, r.Close())
		require.NoError(t, s.close())
	}
}

// No link leads out of the folder, and nothing that is no file is waited for.
func TestReaderStaysInTheFolder(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o600))
	folder := filepath.Join(dir, filepath.FromSlash(readFolder))
	require.NoError(t, os.MkdirAll(folder, 0o700))
	require.NoError(t, os.Symlink(outside, filepath.Join(folder, "0.png")))
	require.NoError(t, os.Symlink("../../../../../../../../../etc/passwd", filepath.Join(folder, "1.png")))
	require.NoError(t, unix.Mkfifo(filepath.Join(folder, "2.png"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(folder, "3.png"), 0o700))
	require.NoError(t, os.Symlink(filepath.Dir(outside), filepath.Join(dir, "other")))
	require.NoError(t, os.MkdirAll(filepath.Join(filepath.Dir(outside), "2026", "01", "02", "p"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(outside), "2026", "01", "02", "p", "0.png"), []byte("secret"), 0o600))
	r := NewReader(Config{Location: Location{Dir: dir}})
	for n, name := range []string{"0.png", "1.png", "2.png", "3.png"} {
		_, err := r.Open(t.Context(), "file://"+folder+"/"+name, readOf, n)
		require.ErrorIs(t, err, fs.ErrNotExist, name)
	}
	_, err := r.Open(t.Context(), "file://"+dir+"/other/2026/01/02/p/0.png", Prediction{"other", "p"}, 0)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// A folder of another machine is said to be one, and is not made here.
func TestReaderElsewhere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "archive")
	_, err := NewReader(Config{Location: Location{Dir: dir}}).Open(t.Context(), "file://"+dir+"/"+readFolder+"/0.png", readOf, 0)
	require.ErrorIs(t, err, ErrNotHere)
	require.NoDirExists(t, dir)
}

// A bucket that is away, sends something else or stops in the middle is an error, and none of a
// missing file.
func TestReaderOfABucketThatFails(t *testing.T) {
	t.Parallel()
	bucket := newBucket(t)
	s := bucket.open(t)
	data := sample(sectionSize + 10)
	require.NoError(t, s.put(t.Context(), file{key: readFolder + "/0.png"}, false, data))
	address := s.address(readFolder + "/0.png")
	r := NewReader(Config{Location: bucket.location(t), AllowPrivate: true})
	defer func() { require.NoError(t, r.Close()) }()
	failing := func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }
	bucket.answer(failing)
	_, err := r.Open(t.Context(), address, readOf, 0)
	require.Error(t, err)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	require.NotErrorIs(t, err, ErrNotHere)

	bucket.answer(func(_ http.ResponseWriter, r *http.Request) bool { r.Header.Del("Range"); return false })
	_, err = r.Open(t.Context(), address, readOf, 0)
	require.ErrorIs(t, err, errNoRanges)

	bucket.answer(nil)
	f, err := r.Open(t.Context(), address, readOf, 0)
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, f, sectionSize)
	require.NoError(t, err)
	bucket.answer(failing)
	_, err = f.Read(make([]byte, 10))
	require.Error(t, err)
	require.NotErrorIs(t, err, io.EOF)
	require.NoError(t, f.Close())

	bucket.answer(nil)
	ctx, cancel := context.WithCancel(t.Context())
	f, err = r.Open(ctx, address, readOf, 0)
	require.NoError(t, err)
	cancel()
	_, err = f.Read(make([]byte, 10))
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, f.Close())
}

// Whatever an address is, the key at its end is one of the prediction's outputs.
func FuzzStoredKey(f *testing.F) {
	f.Add("file:///archive/get3w/2026/01/02/pred_1/0.png", "get3w", "pred_1", 0)
	f.Add("s3://bucket/some/get3w/2026/01/02/pred_1.0f/12.mp4", "get3w", "pred_1", 12)
	f.Add("file:///get3w/../../../../etc/passwd", "get3w", "..", 0)
	f.Add("/./2026/01/02/./0.png", ".", ".", 0)
	f.Fuzz(func(t *testing.T, address, source, id string, n int) {
		key, ok := storedKey(address, Prediction{source, id}, n)
		if !ok {
			return
		}
		require.True(t, strings.HasSuffix(address, "/"+key) || address == key)
		parts := strings.Split(key, "/")
		require.Len(t, parts, keyParts)
		require.Equal(t, token(source), parts[0])
		require.True(t, filepath.IsLocal(key))
		for _, part := range parts {
			require.NotContains(t, []string{"", ".", ".."}, part)
		}
	})
}
