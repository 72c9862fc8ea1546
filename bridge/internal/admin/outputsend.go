package admin

import (
	"context"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
)

// readTime is how long the client of an output may take to read what it was sent last, which is
// up to 32 KiB.
const readTime = 10 * time.Second

// outputPolicy lets an output that a browser shows by itself load and run nothing.
const outputPolicy = "sandbox; default-src 'none'"

func setOutputHeader(h http.Header, tag string) {
	h.Set("Content-Security-Policy", outputPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "private, no-cache") // whoever has it asks whether it is still there
	if tag != "" {
		h.Set("ETag", tag)
	}
}

var checksum = regexp.MustCompile(`^[0-9a-f]{64}$`)

// tagOf is the strong validator of an output, "" for none.
func tagOf(o bridge.OutputState) string {
	if !checksum.MatchString(o.SHA256) {
		return ""
	}
	return `"` + o.SHA256 + `"`
}

// send answers with a file, or with the one range that is asked for.
func (h outputsAPI) send(c echo.Context, f *OutputFile, o bridge.OutputState, name string) error {
	r := c.Request().Clone(c.Request().Context())
	if r.Method == http.MethodHead || strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range") // several ranges are answered with the whole file
	}
	header := c.Response().Header()
	setOutputHeader(header, tagOf(o))
	contentType, inline := shownType(f.Head, o)
	way := "attachment"
	if inline {
		way = "inline"
	}
	header.Set("Content-Type", contentType)
	header.Set("Content-Disposition", way+`; filename="`+name+`"`)
	if o.ContentEncoding != "" {
		header.Set("Content-Encoding", o.ContentEncoding)
	}
	w := &outputWriter{ResponseWriter: c.Response(), ctx: r.Context(), within: h.within, size: f.Size}
	http.ServeContent(w, r, "", time.Time{}, f)
	switch w.refused {
	case 0:
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		return echo.NewHTTPError(w.refused, "The file has "+strconv.FormatInt(f.Size, 10)+" bytes: Range is such as bytes=0-1023.")
	case http.StatusPreconditionFailed:
		return echo.NewHTTPError(w.refused, "The file is another one than that of If-Match.")
	}
	return echo.NewHTTPError(http.StatusInternalServerError)
}

// outputWriter writes to a client that reads in time, and leaves errors to its caller.
type outputWriter struct {
	http.ResponseWriter

	ctx     context.Context //nolint:containedctx // of the request
	within  time.Duration
	size    int64
	refused int // the status of an error
}

// outputHeaders are those that the answer of an error does not have.
var outputHeaders = []string{
	"Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Security-Policy", "Cross-Origin-Resource-Policy", "ETag",
	"X-Content-Type-Options",
}

func (w *outputWriter) WriteHeader(status int) {
	h := w.Header()
	switch {
	case status >= http.StatusBadRequest:
		w.refused = status
		for _, name := range outputHeaders {
			h.Del(name)
		}
		return
	case status == http.StatusNotModified:
		h.Del("Content-Disposition")
	case status == http.StatusOK && h.Get("Content-Length") == "": // of a file in a coding
		h.Set("Content-Length", strconv.FormatInt(w.size, 10))
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *outputWriter) Write(p []byte) (int, error) {
	if w.refused != 0 {
		return len(p), nil
	}
	if w.ctx.Err() != nil { // the process stops, or the token was removed
		return 0, context.Cause(w.ctx)
	}
	if err := http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.within)); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}

// fileNameExtensions are those that a file may be saved with. Of others a system could take the
// file for a program.
var fileNameExtensions = []string{
	"png", "jpg", "jpeg", "webp", "gif", "avif", "bmp", "tif", "tiff", "heic", "svg", "mp4", "webm", "mov", "mkv", "wav", "mp3", "ogg", "flac", "m4a",
	"json", "txt", "csv", "md", "srt", "vtt", "glb", "gltf", "obj", "ply", "stl", "usdz", "zip", "gz", "zst", "pdf", "npy", "npz", "safetensors",
}

var notInFileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// maxFileName bounds the part of an id in a file's name, in bytes.
const maxFileName = 80

// outputFileName is the name under which a browser saves an output: of ASCII, without anything
// that means something in a header or a path.
func outputFileName(id string, n int, o bridge.OutputState) string {
	address := o.StoredURL
	if o.ContentEncoding != "" {
		address = o.URL // the extension of the other one is that of the coding
	}
	ext := strings.ToLower(strings.TrimPrefix(path.Ext(address), "."))
	if !slices.Contains(fileNameExtensions, ext) {
		ext = "bin"
	}
	name := notInFileName.ReplaceAllString(id, "_")
	name = strings.TrimLeft(name[:min(len(name), maxFileName)], ".-")
	return name + "-" + strconv.Itoa(n) + "." + ext
}
