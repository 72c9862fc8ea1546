package archive

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	png  = "\x89PNG\x0d\x0a\x1a\x0a\x00\x00"
	page = "<!DOCTYPE html><script>alert(1)</script>"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	const text, html = "text/plain; charset=utf-8", "text/html; charset=utf-8"
	for _, c := range []struct {
		claim, head string
		want        judgement
	}{
		{"image/png", png, judgement{contentType: "image/png"}},
		{"image/png; x=1", png, judgement{contentType: "image/png; x=1"}},
		{"", png, judgement{contentType: "image/png"}},
		{"", "", judgement{}},
		{"image/png", "", judgement{contentType: "image/png"}},
		{"application/octet-stream", png, judgement{"image/png", "application/octet-stream", "image/png", ""}},
		{"model/gltf-binary", "glTF\x02\x00\x00\x00", judgement{contentType: "model/gltf-binary"}},
		{"image/jpeg", png, judgement{"image/jpeg", "image/jpeg", "image/png", ""}},
		{"image/png", "not found", judgement{"image/png", "image/png", text, ""}},
		{"image/png", page, judgement{html, "image/png", html, ""}},
		{"application/octet-stream", page, judgement{html, "application/octet-stream", html, ""}},
		{"video/mp4", "<?xml version=\"1.0\"?><Error/>", judgement{"text/xml; charset=utf-8", "video/mp4", "text/xml; charset=utf-8", ""}},
		{"text/html", png, judgement{"image/png", "text/html", "image/png", ""}},
		{"image/svg+xml", png, judgement{"image/png", "image/svg+xml", "image/png", ""}},
		{"image/svg+xml", "<?xml version=\"1.0\"?><svg/>", judgement{contentType: "image/svg+xml"}},
		{"image/svg+xml", "<svg/>", judgement{contentType: "image/svg+xml"}},
		{"application/json", `{"a":1}`, judgement{contentType: "application/json"}},
		{"model/gltf+json", `{"a":1}`, judgement{contentType: "model/gltf+json"}},
		{"text/plain", page, judgement{"text/plain", "text/plain", html, ""}},
		{"audio/x-wav", "RIFF\x00\x00\x00\x00WAVE", judgement{contentType: "audio/x-wav"}},
		{"application/vnd.x", "PK\x03\x04", judgement{contentType: "application/vnd.x"}},
	} {
		require.Equal(t, c.want, judge(c.claim, []byte(c.head)), "%s %q", c.claim, c.head)
	}
}

// A page that is called a picture is not kept as one, by type nor by name, and
// nothing else is kept as a page.
func TestPageIsNoPicture(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		claim, body := "image/png", page
		if r.URL.Path == "/b.html" {
			body = png
		}
		w.Header().Set("Content-Type", claim)
		_, _ = io.WriteString(w, body)
	})
	b := setup(t, nil)
	require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.png", srv.URL+"/b.html")))
	dir := folder(b.dir, "p")
	require.Equal(t, []string{"0.html", "1.png", eventName, signatureName, manifestName}, names(t, dir))
	m := readManifest(t, dir)
	require.Equal(t, "text/html; charset=utf-8", m.Outputs[0].ContentType)
	require.Equal(t, "image/png", m.Outputs[0].ClaimedType)
	require.Equal(t, "text/html; charset=utf-8", m.Outputs[0].SniffedType)
	require.Empty(t, m.Outputs[1].ClaimedType)
}
