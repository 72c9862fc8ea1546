package archive

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/consumers"
)

func TestContentCoding(t *testing.T) {
	t.Parallel()
	for want, headers := range map[string][][]string{
		"": {
			nil,
			{""},
			{" "},
			{","},
			{"identity"},
			{"Identity"},
			{"identity", ""},
			{"AWS-Chunked, identity"},
			{"aws-chunked"},
			{"UTF-8"},
			{"utf8"},
			{"binary"},
			{"none"},
			{"null"},
			{"image/png"},
			{"gzip2"},
			{"\xff"},
		},
		"gzip":     {{"gzip"}, {"GZIP"}, {"x-gzip"}, {"aws-chunked,gzip"}, {"gzip , aws-chunked"}, {"utf-8", "gzip"}, {",gzip,"}},
		"br":       {{"br"}, {"BR,identity"}},
		"gzip, br": {{"gzip,br"}, {"gzip", "br"}, {"aws-chunked, gzip, utf-8, br"}},
		"compress": {{"x-compress"}},
		"zstd":     {{"zstd"}},
	} {
		for _, h := range headers {
			require.Equal(t, want, contentCoding(http.Header{"Content-Encoding": h}), "%q", h)
		}
	}
	many := contentCoding(http.Header{"Content-Encoding": {strings.Repeat("gzip,", 10_000)}})
	require.Equal(t, "gzip, gzip, gzip, gzip", many)
}

func zipped(t *testing.T, data string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, data)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

// In every encoding that a body claims, its bytes are kept at the first attempt, and the
// manifest says how to read them.
func TestEncodingsAreKept(t *testing.T) {
	t.Parallel()
	gz := zipped(t, png)
	const br = "\x8b\x02\x80\x89PNG\r\n\x03" // not text, and no sign of anything
	for _, c := range []struct {
		header, body           string
		name, contentType, was string // of the file; was is its coding
	}{
		{"", png, "0.png", "image/png", ""},
		{"identity", png, "0.png", "image/png", ""},
		{"aws-chunked", png, "0.png", "image/png", ""},
		{"UTF-8", png, "0.png", "image/png", ""},
		{"aws-chunked,identity, binary", png, "0.png", "image/png", ""},
		{"gzip", gz, "0.gz", "application/gzip", "gzip"},
		{"aws-chunked,gzip", gz, "0.gz", "application/gzip", "gzip"},
		{"br, x-gzip", gz, "0.gz", "application/gzip", "br, gzip"},
		{"zstd", "\x28\xb5\x2f\xfd" + png, "0.zst", "application/zstd", "zstd"},
		{"br", br, "0.br", "application/octet-stream", "br"},
		{"deflate", "\x78\x9c" + png, "0.zz", "application/octet-stream", "deflate"},
		// Lies: the bytes are the file itself.
		{"gzip", png, "0.png", "image/png", ""},
		{"zstd", gz, "0.png", "image/png", ""},
		{"br", png, "0.png", "image/png", ""},
		{"gzip, br", png, "0.png", "image/png", ""},
		{"br, gzip", br, "0.br", "application/octet-stream", "br"},
		{"gzip", "", "0.png", "image/png", ""},
	} {
		var late atomic.Int32
		late.Store(http.StatusInternalServerError)
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "identity" {
				t.Errorf("asked for %q", r.Header.Get("Accept-Encoding"))
			}
			if r.URL.Path == "/late" {
				w.WriteHeader(int(late.Load()))
				return
			}
			w.Header().Set("Content-Encoding", c.header)
			w.Header().Set("Content-Type", "image/png")
			_, _ = io.WriteString(w, c.body)
		})
		p := &told{}
		b := setup(t, func(c *Config) { c.Publish = p.publish })
		require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.png")), c.header)
		dir := folder(b.dir, "p")
		require.Equal(t, c.body, readFile(t, dir, c.name), c.header)
		out := readManifest(t, dir).Outputs[0]
		require.Equal(t, [2]string{c.contentType, c.was}, [2]string{out.ContentType, out.Coding}, c.header)
		require.Equal(t, c.was, archivedOf(t, p.events[0]).Outputs[0].ContentEncoding)

		// The next attempt, which finds it stored and no manifest, says the same of the
		// outermost coding.
		require.Error(t, b.handle(newEvent("q", srv.URL+"/a.png", srv.URL+"/late")))
		require.NoFileExists(t, filepath.Join(folder(b.dir, "q"), manifestName))
		late.Store(http.StatusGone)
		require.True(t, consumers.IsPermanent(b.handle(newEvent("q", srv.URL+"/a.png", srv.URL+"/late"))))
		require.Equal(t, last(c.was), readManifest(t, folder(b.dir, "q")).Outputs[0].Coding)
	}
	_, ok := storedCoding("0.gz", "/a.tar.gz")
	require.False(t, ok, "its sender called it so")
}

func last(codings string) string {
	list := strings.Split(codings, ", ")
	return list[len(list)-1]
}

// A part that came in one coding is not gone on with in another.
func TestPartOfAnotherCodingIsBegunAnew(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"gzip", "zstd", ""} {
		there := resumePoint{origin{validator: `"1"`, length: 10, coding: coding}, 5}
		for _, says := range []string{"gzip", "zstd", ""} {
			resp := &http.Response{ContentLength: 5, Header: http.Header{
				"Content-Range": {"bytes 5-9/10"}, "Content-Encoding": slices.DeleteFunc([]string{says}, func(s string) bool { return s == "" }),
			}}
			_, ok := fits(resp, there)
			require.Equal(t, says == "" || says == coding, ok, "%q after %q", says, coding)
		}
	}
}
