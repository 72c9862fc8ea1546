package console

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// painted is a picture of one colour.
func painted(w, h int, c color.Color) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.Set(i%w, i/w, c)
	}
	return img
}

func asPNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, img))
	return out.Bytes()
}

func asJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, img, nil))
	return out.Bytes()
}

func asGIF(t testing.TB, img image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, gif.Encode(&out, img, nil))
	return out.Bytes()
}

// webpPixel is a picture of one white pixel.
const webpPixel = "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="

// pngOf is a picture that claims a size and holds next to nothing.
func pngOf(w, h uint32, depth, kind byte) []byte {
	out := []byte("\x89PNG\r\n\x1a\n")
	header := append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("IHDR"), w), h), depth, kind, 0, 0, 0)
	out = append(binary.BigEndian.AppendUint32(out, 13), header...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(header))
}

func TestThumbnails(t *testing.T) {
	red, glass := color.RGBA{200, 30, 30, 255}, color.RGBA{100, 0, 0, 100}
	for name, c := range map[string]struct {
		contentType string
		picture     []byte
		w, h        int
		made        string
	}{
		"png":         {"image/png", asPNG(t, painted(800, 400, red)), 320, 160, "image/jpeg"},
		"transparent": {"image/png", asPNG(t, painted(400, 800, glass)), 160, 320, "image/png"},
		"jpeg":        {"image/jpeg", asJPEG(t, painted(3000, 10, red)), 320, 1, "image/jpeg"},
		"gif":         {"image/gif", asGIF(t, painted(10, 2000, red)), 1, 320, "image/jpeg"},
		"small":       {"image/png", asPNG(t, painted(3, 2, red)), 3, 2, "image/jpeg"},
		"webp":        {"image/webp", decoded64(t, webpPixel), 1, 1, ""},
	} {
		_, c2 := newArchived(c.contentType, c.picture)
		got := thumbOf(t, c2, nil)
		require.Equal(t, 200, got.Code, name)
		img, format, err := image.Decode(got.Body)
		require.NoError(t, err, "%s: %s", name, got.Header().Get("Content-Type"))
		require.Equal(t, got.Header().Get("Content-Type"), "image/"+format)
		if c.made != "" {
			require.Equal(t, c.made, "image/"+format, name)
		}
		require.Equal(t, image.Pt(c.w, c.h), img.Bounds().Size(), name)
		require.Equal(t, "private, no-cache", got.Header().Get("Cache-Control"))
		require.Equal(t, "nosniff", got.Header().Get("X-Content-Type-Options"))
	}
}

// What is no picture, or none that can be decoded, has an icon of ours.
func TestIcons(t *testing.T) {
	good := asPNG(t, painted(10, 10, color.White))
	for name, c := range map[string]struct {
		contentType string
		text        []byte
		icon        string
		read        int
	}{
		"film":              {"video/mp4", []byte("x"), iconVideo, 0},
		"sound":             {"audio/mpeg", []byte("x"), iconAudio, 0},
		"text":              {"text/plain; charset=utf-8", []byte("<script>"), iconText, 0},
		"file":              {"application/octet-stream", []byte("<svg onload='alert(1)'/>"), iconFile, 0},
		"avif":              {"image/avif", []byte("x"), iconImage, 0},
		"svg":               {"image/svg+xml", []byte("<svg onload='alert(1)'/>"), iconImage, 0},
		"no picture":        {"image/png", []byte("words"), iconImage, 1},
		"empty":             {"image/png", nil, iconImage, 1},
		"half a picture":    {"image/png", good[:len(good)-20], iconImage, 1},
		"bomb of pixels":    {"image/png", pngOf(100_000, 100_000, 8, 6), iconImage, 1},
		"bomb of a row":     {"image/png", pngOf(1<<31-1, 1, 8, 6), iconImage, 1},
		"deep bomb":         {"image/png", pngOf(7000, 7000, 16, 6), iconImage, 1},
		"progressive":       {"image/jpeg", jpegOf(0xc2, 7000, 7000), iconImage, 1},
		"50 Mpx of nothing": {"image/png", pngOf(7000, 7000, 8, 6), iconImage, 1},
		"long header":       {"image/jpeg", append([]byte("\xff\xd8"), bytes.Repeat([]byte("\xff\xe0\xff\xff"+strings.Repeat("a", 65533)), 20)...), iconImage, 1},
	} {
		a, c2 := newArchived(c.contentType, c.text)
		got := thumbOf(t, c2, nil)
		require.Equal(t, 200, got.Code, name)
		require.Equal(t, "image/svg+xml", got.Header().Get("Content-Type"), name)
		require.Equal(t, string(icons[c.icon]), got.Body.String(), name)
		require.Equal(t, "sandbox; default-src 'none'", got.Header().Get("Content-Security-Policy"))
		require.Equal(t, c.read, a.count(http.MethodGet), name)
		require.Equal(t, 200, thumbOf(t, c2, nil).Code)
		require.Equal(t, c.read, a.count(http.MethodGet), "%s is looked at once", name)
	}
}

// jpegOf is the beginning of a picture that claims a size.
func jpegOf(frame byte, w, h uint16) []byte {
	out := append([]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff"), frame, 0, 17, 8)
	out = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(out, h), w)
	return append(out, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0)
}

// interlaced says of a picture without content that it comes in passes.
func interlaced(file []byte) []byte {
	file[28] = 1
	return binary.BigEndian.AppendUint32(file[:29], crc32.ChecksumIEEE(file[12:29]))
}

// How much a picture takes is known before it is decoded.
func TestMemoryOfPictures(t *testing.T) {
	for name, c := range map[string]struct {
		contentType string
		picture     []byte
		memory      int64
	}{
		"png":              {"image/png", pngOf(1000, 1000, 8, 6), 4_000_000},
		"deep png":         {"image/png", pngOf(1000, 1000, 16, 2), 8_000_000},
		"interlaced png":   {"image/png", interlaced(pngOf(1000, 1000, 8, 6)), 6_000_000},
		"grey png":         {"image/png", pngOf(1000, 1000, 16, 0), 2_000_000},
		"jpeg":             {"image/jpeg", jpegOf(0xc0, 1000, 1000), 3_000_000},
		"progressive jpeg": {"image/jpeg", jpegOf(0xc2, 1000, 1000), 15_000_000},
		"gif":              {"image/gif", asGIF(t, painted(100, 100, color.White)), 20_000},
	} {
		p, err := readPicture(c.contentType, bytes.NewReader(c.picture))
		require.NoError(t, err, name)
		require.Equal(t, c.memory, p.memory, name)
	}
}

// A thumbnail is made once. The API is asked each time, and when the output is gone, so is the
// thumbnail.
func TestThumbnailIsAsOldAsItsOutput(t *testing.T) {
	a, c := newArchived("image/png", asPNG(t, painted(10, 10, color.White)))
	first := thumbOf(t, c, nil)
	require.Equal(t, 200, first.Code)
	require.Equal(t, first.Body.String(), thumbOf(t, c, nil).Body.String())
	require.Equal(t, 1, a.count(http.MethodGet))
	require.Equal(t, 2, a.count(http.MethodHead)-1, "before and after the wait, and once more")
	require.Equal(t, 304, thumbOf(t, c, map[string]string{"If-None-Match": first.Header().Get("ETag")}).Code)
	require.Empty(t, visitWith(t, c, http.MethodHead, "/thumbs/get3w/p/0", nil).Body.String())

	a.set(func() { a.tag = `"` + strings.Repeat("cd", 32) + `"` })
	require.NotEqual(t, first.Header().Get("ETag"), thumbOf(t, c, nil).Header().Get("ETag"))
	require.Equal(t, 2, a.count(http.MethodGet), "it is another output")

	a.set(func() { a.problem = 404 })
	gone := thumbOf(t, c, map[string]string{"If-None-Match": first.Header().Get("ETag")})
	require.Equal(t, 404, gone.Code)
	require.Equal(t, string(icons[iconMissing]), gone.Body.String())
	require.Zero(t, c.thumbnails.kept.thumbs.Len())
	require.Zero(t, c.thumbnails.kept.bytes)
	for _, status := range []int{401, 403, 429, 503} {
		a.set(func() { a.problem = status })
		got := thumbOf(t, c, nil)
		require.Equal(t, status, got.Code)
		require.Equal(t, "7", got.Header().Get("Retry-After"))
		require.Equal(t, "text/plain; charset=utf-8", got.Header().Get("Content-Type"))
	}
}

// Nothing stays in memory of what was erased, and nothing that was being made then.
func TestForgottenThumbnails(t *testing.T) {
	a, c := newArchived("image/png", asPNG(t, painted(10, 10, color.White)))
	require.Equal(t, 200, thumbOf(t, c, nil).Code)
	c.Forget()
	require.Zero(t, c.thumbnails.kept.thumbs.Len())
	a.during = c.Forget
	require.Equal(t, 200, thumbOf(t, c, nil).Code)
	require.Zero(t, c.thumbnails.kept.thumbs.Len())
	require.Zero(t, c.thumbnails.kept.bytes)
}

// An archive that stops sending is no reason to call its output undecodable.
func TestThumbnailOfAnArchiveThatFails(t *testing.T) {
	a, c := newArchived("image/png", asPNG(t, painted(100, 100, color.White)))
	a.cut = 60
	got := thumbOf(t, c, nil)
	require.Equal(t, 503, got.Code)
	require.NotEmpty(t, got.Header().Get("Retry-After"))
	a.set(func() { a.cut = 0 })
	require.Equal(t, "image/jpeg", thumbOf(t, c, nil).Header().Get("Content-Type"))
}

// Two thumbnails are made at the same time, some more wait, and others come again. Who leaves
// waits no more.
func TestThumbnailsAreBounded(t *testing.T) {
	a, c := newArchived("image/png", asPNG(t, painted(10, 10, color.White)))
	began, release := make(chan struct{}, waitingThumbs), make(chan struct{})
	var mu sync.Mutex
	making, most := 0, 0
	a.during = func() {
		mu.Lock()
		making++
		most = max(most, making)
		mu.Unlock()
		began <- struct{}{}
		<-release
		mu.Lock()
		making--
		mu.Unlock()
	}
	ask := func(ctx context.Context, n int) int {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, string(thumbPath("get3w", "p", n)), nil)
		r.Header.Set("Cookie", cookieName+"=secret")
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w.Code
	}
	answers := make(chan int, waitingThumbs)
	for n := range waitingThumbs - 1 {
		go func() { answers <- ask(t.Context(), n) }()
	}
	<-began
	<-began
	leaving, leave := context.WithCancel(t.Context())
	left := make(chan int)
	go func() { left <- ask(leaving, 1000) }()
	require.Eventually(t, func() bool {
		if !c.thumbnails.queue.TryAcquire(1) {
			return true
		}
		c.thumbnails.queue.Release(1)
		return false
	}, time.Minute, time.Millisecond)
	require.Equal(t, 503, ask(t.Context(), 1001))
	leave()
	require.Equal(t, 503, <-left)
	close(release)
	for range waitingThumbs - 1 {
		require.Equal(t, 200, <-answers)
	}
	require.Equal(t, makingThumbs, most)
}

// The memory of the cache is bounded, whatever it holds.
func TestThumbnailCacheIsBounded(t *testing.T) {
	c := newThumbCache()
	for i := range 200 {
		c.put(thumbKey(strings.Repeat("k", i)), &thumb{of: "a", body: make([]byte, 1<<20)}, 0)
		require.LessOrEqual(t, c.bytes, maxThumbBytes)
	}
	require.Nil(t, c.get(""))
	require.NotNil(t, c.get(thumbKey(strings.Repeat("k", 199))))
	c.put("none", &thumb{body: []byte("a")}, 0)
	require.Nil(t, c.get("none"), "nobody could tell whether it is still the same")
	c.clear()
	require.Zero(t, c.bytes)
}

// Whatever a picture is, it is decoded within its memory or not at all, and nothing panics.
func FuzzPicture(f *testing.F) {
	for _, contentType := range []string{"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain"} {
		f.Add(contentType, asPNG(f, painted(8, 8, color.White)))
		f.Add(contentType, asJPEG(f, painted(8, 8, color.White)))
		f.Add(contentType, asGIF(f, painted(8, 8, color.White)))
		f.Add(contentType, jpegOf(0xc2, 7000, 7000))
		f.Add(contentType, pngOf(70, 70, 16, 6))
	}
	f.Fuzz(func(t *testing.T, contentType string, file []byte) {
		p, err := readPicture(contentType, bytes.NewReader(file))
		if err != nil || p.memory > 1<<20 {
			return
		}
		small, made, err := p.thumbnail()
		if err != nil {
			require.ErrorIs(t, err, errNoPicture)
			return
		}
		require.Contains(t, []string{"image/png", "image/jpeg"}, made)
		c, _, err := image.DecodeConfig(bytes.NewReader(small))
		require.NoError(t, err)
		require.LessOrEqual(t, max(c.Width, c.Height), thumbSide)
	})
}

func BenchmarkThumbnail(b *testing.B) {
	for name, side := range map[string]int{"1Mpx": 1024, "16Mpx": 4096, "49Mpx": 7000} {
		file := asJPEG(b, painted(side, side, color.White))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				p, err := readPicture("image/jpeg", bytes.NewReader(file))
				require.NoError(b, err)
				_, _, err = p.thumbnail()
				require.NoError(b, err)
			}
		})
	}
}
