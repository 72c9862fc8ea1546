package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	pngHead = "\x89PNG\r\n\x1a\n"
	sum     = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	tag     = `"` + sum + `"`
)

// shelf is an archive: what Open returns for an address, and what it was asked for. An address
// that it lacks is in no archive.
type shelf struct {
	files  map[string]string
	errs   map[string]error
	erased bool
	opened func(ctx context.Context) error

	mu     sync.Mutex
	asked  []string
	closed chan struct{} // nil: nobody wants to know
}

func (s *shelf) Erased(string, string) bool { return s.erased }

func (s *shelf) Open(ctx context.Context, source, id string, n int, address string) (*admin.OutputFile, error) {
	s.mu.Lock()
	s.asked = append(s.asked, fmt.Sprint(source, " ", id, " ", n, " ", address))
	s.mu.Unlock()
	if s.opened != nil {
		if err := s.opened(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.errs[address]; err != nil {
		return nil, err
	}
	text, ok := s.files[address]
	if !ok {
		return nil, adminapi.ErrNoArchive
	}
	return &admin.OutputFile{ReadSeekCloser: shelved{strings.NewReader(text), s.closed}, Size: int64(len(text)), Head: []byte(text[:min(len(text), 512)])}, nil
}

type shelved struct {
	*strings.Reader

	closed chan struct{}
}

func (s shelved) Close() error {
	if s.closed != nil {
		s.closed <- struct{}{}
	}
	return nil
}

func stored(address string, size int, contentType string) bridge.OutputState {
	return bridge.OutputState{Custody: bridge.CustodyStored, StoredURL: address, Bytes: int64(size), ContentType: contentType, SHA256: sum}
}

// startOutputs serves the outputs of the prediction p of get3w.
func startOutputs(t *testing.T, s *shelf, outputs ...bridge.OutputState) *admin.Server {
	t.Helper()
	server := start(t, "127.0.0.1:0")
	server.SetAPI(func(api *echo.Group) { admin.RegisterOutputs(api, knowing(outputs...), s, zap.NewNop()) })
	return server
}

func knowing(outputs ...bridge.OutputState) nothingElse {
	return nothingElse{known: &known{states: []bridge.PredictionState{{
		Source: "get3w", ID: "p", Status: "completed", Outputs: outputs, OutputCount: len(outputs), CompletedAt: time.Now(),
	}}}}
}

// nothingElse is a view beside which no events are stored.
type nothingElse struct{ *known }

func (nothingElse) Find(context.Context, string, string) (*bridge.PredictionState, error) {
	return nil, bridge.ErrNotFound
}

const outputPath = "/api/v1/predictions/get3w/p/outputs/"

func TestOutputIsSentWholeOrInPart(t *testing.T) {
	text := pngHead + strings.Repeat("0123456789", 100)
	s := startOutputs(t, &shelf{files: map[string]string{"file:///a/0.png": text}}, stored("file:///a/0.png", len(text), "image/png"))
	got := get(t, s, outputPath+"0")
	require.Equal(t, 200, got.status, got.body)
	require.Equal(t, text, got.body)
	for name, value := range map[string]string{
		"Content-Type": "image/png", "Content-Disposition": `inline; filename="p-0.png"`, "Content-Length": fmt.Sprint(len(text)), "Accept-Ranges": "bytes", "Etag": tag,
		"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		require.Equal(t, value, got.header.Get(name), name)
	}
	head := do(t, s, http.MethodHead, outputPath+"0", "", map[string]string{"Range": "bytes=0-1"})
	require.Equal(t, []any{200, fmt.Sprint(len(text)), ""}, []any{head.status, head.header.Get("Content-Length"), head.body})
	require.Equal(t, 404, do(t, s, http.MethodHead, outputPath+"9", "", nil).status)
	require.Equal(t, 412, do(t, s, http.MethodHead, outputPath+"0", "", map[string]string{"If-Match": `"other"`}).status)

	for _, c := range []struct {
		header map[string]string
		status int
		body   string
	}{
		{map[string]string{"Range": "bytes=8-17"}, 206, "0123456789"},
		{map[string]string{"Range": "bytes=-3"}, 206, "789"},
		{map[string]string{"Range": "bytes=1006-"}, 206, "89"},
		{map[string]string{"Range": "bytes=8-17", "If-Range": tag}, 206, "0123456789"},
		{map[string]string{"Range": "bytes=8-17", "If-Range": `"other"`}, 200, text},
		{map[string]string{"Range": "bytes=0-1,4-5"}, 200, text},
		{map[string]string{"If-None-Match": tag}, 304, ""},
		{map[string]string{"If-None-Match": `"a", ` + tag}, 304, ""},
		{map[string]string{"If-None-Match": `"other"`}, 200, text},
		{map[string]string{"If-Match": tag}, 200, text},
	} {
		got := do(t, s, http.MethodGet, outputPath+"0", "", c.header)
		require.Equal(t, c.status, got.status, "%v: %s", c.header, got.body)
		require.Equal(t, c.body, got.body, "%v", c.header)
	}
	require.Equal(t, "bytes 8-17/1008", do(t, s, http.MethodGet, outputPath+"0", "", map[string]string{"Range": "bytes=8-17"}).header.Get("Content-Range"))
	for status, header := range map[int]map[string]string{416: {"Range": "bytes=2000-"}, 412: {"If-Match": `"other"`}} {
		got := do(t, s, http.MethodGet, outputPath+"0", "", header)
		require.Equal(t, status, got.status)
		require.NotEmpty(t, got.detail(t))
		require.Empty(t, got.header.Get("Content-Disposition"))
	}
}

// A file that a browser could run is never shown, whatever it is called.
func TestOutputsAreShownByTheirFirstBytes(t *testing.T) {
	const saved = "application/octet-stream"
	box := func(brand string) string { return "\x00\x00\x00\x18ftyp" + brand + "\x00\x00\x02\x00isommp41" }
	for _, c := range []struct{ text, claim, shown string }{
		{pngHead, "image/png", "image/png"},
		{pngHead, "text/html", "image/png"},
		{"\xff\xd8\xff\xe0", "", "image/jpeg"},
		{"GIF89a", "image/gif", "image/gif"},
		{"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp", "image/webp"},
		{box("avif"), "image/avif", "image/avif"},
		{box("isom"), "video/mp4", "video/mp4"},
		{box("iso5"), "", "video/mp4"},
		{box("qt  "), "", "video/quicktime"},
		{box("M4A "), "", "audio/mp4"},
		{box("mif1"), "image/heic", saved},
		{"\x1a\x45\xdf\xa3" + strings.Repeat("\x00", 20) + "webm", "video/webm", "video/webm"},
		{"\x1a\x45\xdf\xa3" + strings.Repeat("\x00", 20) + "webm", "audio/webm", "audio/webm"},
		{"OggS\x00", "audio/ogg", "audio/ogg"},
		{"OggS\x00", "video/ogg", "video/ogg"},
		{"ID3\x04", "audio/mpeg", "audio/mpeg"},
		{"\xff\xfb\x90\x64\x00\x01", "audio/mpeg", "audio/mpeg"},
		{"\xff\xfb\x90\x64\x00\x01", "text/html", saved},
		{"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav", "audio/wave"},
		{"fLaC\x00", "audio/flac", "audio/flac"},
		{"just words", "text/plain", "text/plain; charset=utf-8"},
		{`{"a":"<script>"}`, "application/json", "text/plain; charset=utf-8"},
		{"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", saved},
		{"<svg onload='alert(1)'/>", "image/png", saved},
		{"\xef\xbb\xbf \n<svg/>", "", saved},
		{"<?xml version='1.0'?><svg/>", "image/png", saved},
		{"<!-- a --><svg/>", "", saved},
		{"<!doctype html><script>alert(1)</script>", "image/png", saved},
		{"<h1>hello", "text/plain", saved},
		{"alert(1)", "text/javascript", saved},
		{"words", "image/svg+xml", saved},
		{"words", "application/xhtml+xml; charset=utf-8", saved},
		{"\xfe\xff\x00<\x00s\x00v\x00g", "text/plain", saved},
		{"%PDF-1.7", "application/pdf", saved},
		{"\x00\x01\x02", "image/png", saved},
		{"MZ\x90\x00", "", saved},
		{"", "image/png", saved},
	} {
		s := startOutputs(t, &shelf{files: map[string]string{"file:///a/0.x": c.text}}, stored("file:///a/0.x", len(c.text), c.claim))
		for _, header := range []map[string]string{nil, {"Range": "bytes=0-1"}} {
			got := do(t, s, http.MethodGet, outputPath+"0", "", header)
			require.Less(t, got.status, 300, got.body)
			require.Equal(t, c.shown, got.header.Get("Content-Type"), "%q as %s", c.text, c.claim)
			require.Equal(t, c.shown == saved, strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment; "), "%q", c.text)
			require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
			require.Equal(t, "sandbox; default-src 'none'", got.header.Get("Content-Security-Policy"))
		}
	}
}

// What is stored in a coding is sent in it, and not shown, since nobody looks into it.
func TestOutputInACoding(t *testing.T) {
	const zipped = "\x1f\x8b not really"
	o := stored("file:///a/0.gz", len(zipped), "application/gzip")
	o.ContentEncoding, o.URL = "gzip", "https://cdn.get3w.com/0.PNG"
	s := startOutputs(t, &shelf{files: map[string]string{"file:///a/0.gz": zipped}}, o)
	got := do(t, s, http.MethodGet, outputPath+"0", "", map[string]string{"Accept-Encoding": "gzip"})
	require.Equal(t, 200, got.status)
	require.Equal(t, zipped, got.body)
	for name, value := range map[string]string{
		"Content-Encoding": "gzip", "Content-Length": fmt.Sprint(len(zipped)), "Content-Type": "application/octet-stream", "Content-Disposition": `attachment; filename="p-0.png"`,
	} {
		require.Equal(t, value, got.header.Get(name))
	}
}

// Who asks for what is not there is told why, and the archive is asked for nothing else.
func TestOutputsThatAreNotThere(t *testing.T) {
	const address = "file:///a/0.png"
	s := &shelf{files: map[string]string{address: pngHead}, errs: map[string]error{
		"file:///gone": fmt.Errorf("reading: %w", fs.ErrNotExist), "s3://away": errors.New("dial tcp 10.0.0.1: i/o timeout"),
	}}
	changed := stored(address, 7, "image/png")
	server := startOutputs(t, s,
		bridge.OutputState{Custody: bridge.CustodyPending, URL: "https://cdn.get3w.com/a.png"},
		bridge.OutputState{Custody: bridge.CustodyFailed, Error: "it is gone"},
		bridge.OutputState{Custody: bridge.CustodyStored},
		stored("file:///elsewhere", 8, ""), stored("file:///gone", 8, ""), stored("s3://away", 8, ""), changed)
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"get3w/p/outputs/0":                      {404, "not archived yet"},
		"get3w/p/outputs/1":                      {404, "gave this output up: it is gone"},
		"get3w/p/outputs/2":                      {404, "manifest"},
		"get3w/p/outputs/3":                      {404, "no archive"},
		"get3w/p/outputs/4":                      {404, "not have the file any more"},
		"get3w/p/outputs/5":                      {503, "cannot be read now"},
		"get3w/p/outputs/6":                      {404, "changed"},
		"get3w/p/outputs/7":                      {404, "7 outputs"},
		"get3w/p/outputs/-1":                     {400, "from 0 on"},
		"get3w/p/outputs/00":                     {400, "from 0 on"},
		"get3w/p/outputs/+0":                     {400, "from 0 on"},
		"get3w/p/outputs/100000":                 {400, "from 0 on"},
		"get3w/p/outputs/%30":                    {400, "from 0 on"},
		"get3w/q/outputs/0":                      {404, "Nothing is known"},
		"other/p/outputs/0":                      {404, "Nothing is known"},
		"get3w/%2e%2e/outputs/0":                 {400, "no prediction id"},
		"..%2f/p/outputs/0":                      {400, "source"},
		"get3w/p%00/outputs/0":                   {404, "Nothing is known"},
		"get3w/p%ff/outputs/0":                   {400, "UTF-8"},
		"get3w/..%2F..%2Fetc%2Fpasswd/outputs/0": {404, "Nothing is known"},
	} {
		got := get(t, server, "/api/v1/predictions/"+path)
		require.Equal(t, want.status, got.status, "%s: %s", path, got.body)
		require.Contains(t, got.detail(t), want.text, path)
		require.NotContains(t, got.body, "10.0.0.1")
		require.Equal(t, want.status == 503, got.header.Get("Retry-After") != "", path)
	}
	require.ElementsMatch(t, []string{"get3w p 3 file:///elsewhere", "get3w p 4 file:///gone", "get3w p 5 s3://away", "get3w p 6 " + address}, s.asked)
	s.erased, s.asked = true, nil
	require.Contains(t, get(t, server, outputPath+"6").detail(t), "was erased")
	require.Equal(t, 404, do(t, server, http.MethodGet, outputPath+"6", "", map[string]string{"If-None-Match": tag}).status)
	require.Empty(t, s.asked)
}

// A client that does not read is dropped.
func TestStalledReaderOfAnOutputIsDropped(t *testing.T) {
	text := strings.Repeat("a", 64<<20)
	s := &shelf{files: map[string]string{"file:///a": text}, closed: make(chan struct{}, 1)}
	server := start(t, "127.0.0.1:0")
	server.SetAPI(func(api *echo.Group) {
		admin.RegisterImpatientOutputs(api, knowing(stored("file:///a", len(text), "")), s, 100*time.Millisecond)
	})
	conn, err := net.Dial("tcp", server.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "GET "+outputPath+"0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	<-s.closed
}

// What is larger than all buffers is sent whole.
func TestLargeOutput(t *testing.T) {
	text := strings.Repeat("a", 16<<20)
	s := startOutputs(t, &shelf{files: map[string]string{"file:///a": text}}, stored("file:///a", len(text), ""))
	got := get(t, s, outputPath+"0")
	require.Equal(t, 200, got.status)
	require.Len(t, got.body, len(text))
}

// Outputs are read by few at the same time; the end of the process ends them.
func TestReadersOfOutputsAreBounded(t *testing.T) {
	began := make(chan struct{})
	s := &shelf{opened: func(ctx context.Context) error {
		began <- struct{}{}
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	ctx, end := context.WithCancel(t.Context())
	server, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
	require.NoError(t, err)
	server.SetAPI(func(api *echo.Group) {
		admin.RegisterOutputs(api, knowing(stored("file:///a", 1, "")), s, zap.NewNop())
		admin.RegisterCaller(api)
	})
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	answers := make(chan int, admin.MaxReading)
	for range admin.MaxReading {
		go func() {
			res, err := http.Get("http://" + server.Addr().String() + outputPath + "0")
			if err != nil {
				answers <- 0
				return
			}
			_ = res.Body.Close()
			answers <- res.StatusCode
		}()
	}
	for range admin.MaxReading {
		<-began
	}
	got := get(t, server, outputPath+"0")
	require.Equal(t, 503, got.status)
	require.Contains(t, got.detail(t), "Too many outputs")
	require.Equal(t, 200, get(t, server, "/api/v1/me").status, "others are served")
	end()
	for range admin.MaxReading {
		require.Equal(t, 503, <-answers)
	}
	require.NoError(t, <-ended)
	http.DefaultClient.CloseIdleConnections()
}

// A name of a file is one of ASCII, and means nothing to a header, a path or a system.
func FuzzOutputFileName(f *testing.F) {
	f.Add("pred_1", 0, "file:///archive/0.png")
	f.Add("../../etc/passwd", 3, "file:///archive/0.exe")
	f.Add("a\"; filename=\"b.html", 1, "s3://bucket/0.html")
	f.Add("\r\nSet-Cookie: a", 1, "")
	f.Fuzz(func(t *testing.T, id string, n int, address string) {
		name := admin.OutputFileName(id, max(n, 0), bridge.OutputState{StoredURL: address})
		require.Regexp(t, `^[A-Za-z0-9_][A-Za-z0-9._-]*-[0-9]+\.[a-z0-9]{1,11}$|^-[0-9]+\.[a-z0-9]{1,11}$`, name)
		require.Less(t, len(name), 128)
	})
}

// Nothing that begins like markup is shown.
func FuzzShownType(f *testing.F) {
	for _, text := range []string{pngHead, "<svg/>", "\xef\xbb\xbf<a", "words", "\x00\x00\x00\x18ftypavif", " <"} {
		f.Add([]byte(text), "image/png", "")
		f.Add([]byte(text), "text/html", "gzip")
	}
	f.Fuzz(func(t *testing.T, head []byte, claim, coding string) {
		shown, inline := admin.ShownType(head, bridge.OutputState{ContentType: claim, ContentEncoding: coding})
		require.Equal(t, inline, shown != "application/octet-stream")
		for _, active := range []string{"html", "xml", "svg", "javascript", "pdf"} {
			require.NotContains(t, shown, active)
		}
		if coding != "" || bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")) {
			require.False(t, inline)
		}
	})
}
