package archive

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

func TestExtension(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, contentType, want string }{
		{"/a.png", "", "png"},
		{"/a.PNG", "video/mp4", "png"},
		{"/a.tar.gz", "", "gz"},
		{"/a", "image/jpeg", "jpg"},
		{"/a.p/b", "video/quicktime", "mov"},
		{"/a.toolongext", "audio/mpeg", "mp3"},
		{"/a.p\x00g", "model/gltf-binary", "glb"},
		{"/a./../../etc/passwd", "", "bin"},
		{"/a.p/n", "text/plain; charset=utf-8", "txt"},
		{"/a.tmp", "", "bin"},
		{"/a.part", "application/zip", "zip"},
		{"/a.é", "application/x-unheard-of", "bin"},
		{"", "", "bin"},
	} {
		require.Equal(t, c.want, extension(c.path, c.contentType), "%q %q", c.path, c.contentType)
	}
}

func TestCleanType(t *testing.T) {
	t.Parallel()
	require.Equal(t, "text/html; charset=utf-8", cleanType("Text/HTML; Charset=utf-8"))
	require.Empty(t, cleanType(""))
	require.Empty(t, cleanType("no/type/at all"))
	require.Empty(t, cleanType("a/b; x="+string(make([]byte, 300))))
}

func TestTemporaryNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"0.png.18ab.tmp": true, "9999.webm.0.tmp": true, "event.json.1f.tmp": true, "event.signature.1f.tmp": true,
		"manifest.json.1f.tmp": true, "0.png": false, "0.tmp": false, "notes.18ab.tmp": false, "0.png.18AB.tmp": false, "0.png.tmp": false,
	} {
		require.Equal(t, want, temporaryName.MatchString(name), name)
	}
	n, ok := outputNumber("12.png")
	require.True(t, ok)
	require.Equal(t, 12, n)
	_, ok = outputNumber("0.png.18ab.tmp")
	require.False(t, ok)
}

// No event of a sender leads out of its folder.
func TestPathTricks(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"../../etc", "a/b", "/abs", "\x00", "..", ".", "", "a\nb", "__0x2f__", "___0x2f__0x2f__", "x.png", "é"} {
		b := setup(t, nil)
		ev := newEvent(id, "text")
		left := filepath.Join(b.dir, filepath.FromSlash(folderKey(ev)), "0.txt.1f.tmp")
		require.NoError(t, os.MkdirAll(filepath.Dir(left), 0o750))
		require.NoError(t, os.WriteFile(left, nil, 0o600))
		require.NoError(t, b.handle(ev), "%q", id)
		require.NoError(t, b.handle(ev), "%q", id)
		day := filepath.Join(b.dir, "get3w", "2026", "01", "02")
		require.Len(t, names(t, day), 1, "%q", id)
		require.Equal(t, []string{"get3w"}, names(t, b.dir))
		require.Equal(t, []string{"0.txt", eventName, signatureName, manifestName}, names(t, filepath.Join(day, names(t, day)[0])), "%q", id)
		require.Equal(t, []string{"deep"}, names(t, filepath.Dir(filepath.Dir(b.dir))))
	}
}

// No part of a path is an option to a shell's tools or hidden from them, and different
// ids still have different folders.
func TestFoldersAreNoOptions(t *testing.T) {
	t.Parallel()
	folders := make(map[string]string)
	for _, id := range []string{
		"--help", "-rf", "-", "--", "=2D-help", "=2Drf", "=2D", "rf", "-=2D", ".hidden", "..", "=2E", "-" + strings.Repeat("x", 80), "-" + strings.Repeat("x", 81),
		strings.Repeat("-", 64), "-" + strings.Repeat("é", 40), "-__0x2f__",
	} {
		b := setup(t, nil)
		ev := newEvent(id, "text")
		ev.Source = id
		other := newEvent(id, "another text")
		other.Source, other.ID = id, id+"/completed/-rf" // a second event of the prediction
		require.NoError(t, b.handle(ev))
		require.NoError(t, b.handle(other))
		require.NoError(t, filepath.WalkDir(b.dir, func(path string, _ os.DirEntry, err error) error {
			require.NotContains(t, "-.", filepath.Base(path)[:1], path)
			return err
		}))
		at := folderKey(ev)
		require.Empty(t, folders[at], "%q and %q", id, folders[at])
		folders[at] = id
		require.Equal(t, id, readManifest(t, filepath.Join(b.dir, at)).Prediction)
		require.Equal(t, id, readManifest(t, filepath.Join(b.dir, conflictKey(at, other.ID))).Prediction)
	}
	before := newEvent("p")
	before.Time = time.Date(-1, 12, 31, 0, 0, 0, 0, time.UTC)
	require.Equal(t, "get3w/=2D0001/12/31/p", folderKey(before))
}

var (
	legalFolder = regexp.MustCompile(`^[A-Za-z0-9_=][A-Za-z0-9_=-]{0,127}/(=2D)?[0-9]{4,}/[0-9]{2}/[0-9]{2}/[A-Za-z0-9_=][A-Za-z0-9_=-]{0,127}$`)
	legalDigest = regexp.MustCompile(`^\.[A-Za-z0-9_=-]{1,128}$`)
	legalName   = regexp.MustCompile(`^[0-9]+\.[a-z0-9]{1,8}$`)
)

func FuzzKey(f *testing.F) {
	f.Add("get3w", "pred_1", "pred_1/completed/0011", int64(0), "/a.png", "image/png")
	f.Add("../x", "../../etc\x00", "//../", int64(-1<<62), "/a.p/../n\x00g", "a/b;c")
	f.Fuzz(func(t *testing.T, source, id, eventID string, seconds int64, urlPath, contentType string) {
		key := folderKey(&bridge.Event{Source: source, PredictionID: id, Time: time.Unix(seconds, 0)})
		if !legalFolder.MatchString(key) {
			t.Fatalf("folder %q", key)
		}
		if strings.Contains(key, "__0x") {
			t.Fatalf("%q would be escaped", key)
		}
		second := conflictKey(key, eventID)
		if !legalDigest.MatchString(second[len(key):]) {
			t.Fatalf("second folder %q", second)
		}
		name := fileName(1, extension(urlPath, contentType))
		if n, ok := outputNumber(name); !ok || n != 1 || !legalName.MatchString(name) || temporaryName.MatchString(name) {
			t.Fatalf("name %q", name)
		}
		for _, folder := range []string{key, second} {
			if rel, err := filepath.Rel("/root/"+folder, filepath.Join("/root", folder, name)); err != nil || rel != name {
				t.Fatalf("%q is not in its folder: %v", rel, err)
			}
		}
		if clean := cleanType(contentType); len(clean) > maxContentType {
			t.Fatalf("content type of %d bytes", len(clean))
		}
	})
}
