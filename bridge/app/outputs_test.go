package app

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	_ "image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/signing"
)

// newProvider serves an image, a drawing with a script in it, and nothing else.
func newProvider(t *testing.T) (url string, picture []byte) {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for i := range 640 * 480 {
		img.Set(i%640, i/640, color.RGBA{uint8(i), uint8(i >> 8), 0, 255}) //nolint:gosec // any colours
	}
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, img))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a.png":
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write(out.Bytes())
		case "/b.svg":
			w.Header().Set("Content-Type", "image/svg+xml")
			_, _ = io.WriteString(w, `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, out.Bytes()
}

// complete tells the bridge that a prediction has these outputs.
func complete(t *testing.T, a *App, id string, outputs ...string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"id": id, "status": "completed", "model": "get3w/flux-dev", "outputs": outputs, "completed_at": time.Now().UTC().Format(time.RFC3339)})
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.Ready().Webhooks["get3w"], bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set(signing.Header, signing.Sign(body, []byte(sampleSecret)))
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 200, res.StatusCode)
}

type got struct {
	status int
	header http.Header
	body   string
}

// fetchFrom gets a path of the admin listener.
func fetchFrom(t *testing.T, a *App, path, ranged string) got {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.operators.Addr().String()+path, nil)
	require.NoError(t, err)
	if ranged != "" {
		req.Header.Set("Range", ranged)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return got{res.StatusCode, res.Header, string(text)}
}

// awaitStored returns the state of a prediction once an archive has all of it.
func awaitStored(t *testing.T, a *App, id string) (s bridge.PredictionState) {
	t.Helper()
	require.Eventually(t, func() bool {
		answer := fetchFrom(t, a, "/api/v1/predictions/get3w/"+id, "")
		return answer.status == 200 && json.Unmarshal([]byte(answer.body), &s) == nil && s.OutputCount > 0 && s.Stored == s.OutputCount
	}, time.Minute, 20*time.Millisecond)
	return s
}

// What an archive has can be read by the API and by the pages, also in a process that does not
// archive, and until it is erased.
func TestArchivedOutputsAreServed(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(name, value)
	}
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("bucket"))
	bucket := httptest.NewServer(gofakes3.New(backend).Server())
	defer bucket.Close()
	folder := filepath.Join(t.TempDir(), "archive")
	for name, store := range map[string]string{"folder": "file://" + folder, "bucket": "s3://bucket/outputs?path_style=true&endpoint=" + bucket.URL} {
		t.Run(name, func(t *testing.T) {
			url, picture := newProvider(t)
			dir, text := t.TempDir(), strings.Replace(freePorts, "{kind: archive}", `{kind: archive, hosts: [127.0.0.1], allow_private: true, store: "`+store+`"}`, 1)
			a, err := newTestApp(t, dir, text)
			require.NoError(t, err)
			require.NoError(t, a.Start(t.Context()))
			complete(t, a, "pred_1", url+"/a.png", url+"/b.svg")
			s := awaitStored(t, a, "pred_1")
			requireServed(t, a, s, picture)
			require.NoError(t, a.Stop())

			a, err = newTestApp(t, dir, text+"roles: [ingress, reconciler, admin]\n")
			require.NoError(t, err)
			defer func() { require.NoError(t, a.Stop()) }()
			require.NoError(t, a.Start(t.Context()))
			awaitStored(t, a, "pred_1")
			requireServed(t, a, s, picture)

			const path = "get3w/pred_1/0"
			require.NotContains(t, fetchFrom(t, a, "/thumbs/"+path, "").header.Get("Content-Type"), "svg")
			require.NotZero(t, a.pages.Remembered())
			status, report := answerOf(t, a, http.MethodPost, "/api/v1/erase", `{"source":"get3w","prediction":"pred_1"}`, func(*http.Request, *http.Response) {})
			require.Equal(t, 200, status, string(report))
			require.Zero(t, a.pages.Remembered(), "no picture of what is erased stays in memory")
			for _, path := range []string{"/api/v1/predictions/get3w/pred_1/outputs/0", "/files/" + path, "/thumbs/" + path} {
				require.Equal(t, 404, fetchFrom(t, a, path, "").status, path)
			}
		})
	}
}

func requireServed(t *testing.T, a *App, s bridge.PredictionState, picture []byte) {
	t.Helper()
	for _, path := range []string{"/api/v1/predictions/get3w/pred_1/outputs/", "/files/get3w/pred_1/"} {
		whole := fetchFrom(t, a, path+"0", "")
		require.Equal(t, 200, whole.status, whole.body)
		require.Equal(t, string(picture), whole.body)
		require.Equal(t, `"`+s.Outputs[0].SHA256+`"`, whole.header.Get("ETag"))
		require.Equal(t, "image/png", whole.header.Get("Content-Type"))
		part := fetchFrom(t, a, path+"0", "bytes=100-199")
		require.Equal(t, 206, part.status)
		require.Equal(t, string(picture[100:200]), part.body)
		require.Equal(t, 416, fetchFrom(t, a, path+"0", "bytes=999999999-").status)
		drawing := fetchFrom(t, a, path+"1", "")
		require.Equal(t, "application/octet-stream", drawing.header.Get("Content-Type"))
		require.Equal(t, `attachment; filename="pred_1-1.svg"`, drawing.header.Get("Content-Disposition"))
		require.Equal(t, []string{"sandbox; default-src 'none'"}, drawing.header.Values("Content-Security-Policy"))
		require.Equal(t, 404, fetchFrom(t, a, path+"2", "").status)
	}
	small := fetchFrom(t, a, "/thumbs/get3w/pred_1/0", "")
	require.Equal(t, 200, small.status, small.body)
	c, _, err := image.DecodeConfig(strings.NewReader(small.body))
	require.NoError(t, err)
	require.Equal(t, [2]int{320, 240}, [2]int{c.Width, c.Height})
	require.Contains(t, fetchFrom(t, a, "/thumbs/get3w/pred_1/1", "").body, "<svg")
	require.NotContains(t, fetchFrom(t, a, "/thumbs/get3w/pred_1/1", "").body, "script")
}
