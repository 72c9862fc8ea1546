package archive

import (
	"mime"
	"path"
	"regexp"
	"strings"
)

// mediaTypes pairs content types with extensions. The first pair that fits counts, in either
// direction.
var mediaTypes = []struct{ contentType, ext string }{
	{"image/png", "png"},
	{"image/jpeg", "jpg"},
	{"image/jpeg", "jpeg"},
	{"image/webp", "webp"},
	{"image/gif", "gif"},
	{"image/avif", "avif"},
	{"image/svg+xml", "svg"},
	{"video/mp4", "mp4"},
	{"video/webm", "webm"},
	{"video/quicktime", "mov"},
	{"audio/wav", "wav"},
	{"audio/x-wav", "wav"},
	{"audio/wave", "wav"},
	{"audio/mpeg", "mp3"},
	{"audio/mp3", "mp3"},
	{"audio/ogg", "ogg"},
	{"audio/flac", "flac"},
	{"application/json", "json"},
	{"text/plain", "txt"},
	{"text/csv", "csv"},
	{"text/html", "html"},
	{"text/html", "htm"},
	{"application/xhtml+xml", "xhtml"},
	{"text/xml", "xml"},
	{"application/xml", "xml"},
	{"text/javascript", "js"},
	{"model/gltf-binary", "glb"},
	{"application/zip", "zip"},
	{"application/pdf", "pdf"},
}

const fallbackExtension = "bin"

var legalExtension = regexp.MustCompile(`^[a-z0-9]{1,8}$`)

// extension is that of a file downloaded from an address with the path: that of the path, else
// that of the content type. The path's extension must not make a page look passive, or the other
// way round.
func extension(urlPath, contentType string) string {
	if ext := strings.ToLower(strings.TrimPrefix(path.Ext(urlPath), ".")); usableExtension(ext) {
		named := typeOf(fileName(0, ext))
		if contentType == "" || active(named) == active(contentType) {
			return ext
		}
	}
	for _, m := range mediaTypes {
		if m.contentType == bare(contentType) {
			return m.ext
		}
	}
	return fallbackExtension
}

// usableExtension refuses tmp and part, which people and tools take for files that are not
// whole.
func usableExtension(ext string) bool {
	return legalExtension.MatchString(ext) && ext != "tmp" && ext != "part"
}

// typeOf is the content type of a file's extension, "" when that is unknown.
func typeOf(name string) string {
	ext := strings.TrimPrefix(path.Ext(name), ".")
	for _, m := range mediaTypes {
		if m.ext == ext {
			return m.contentType
		}
	}
	return ""
}

const maxContentType = 256

// cleanType is the content type in its canonical form, "" for a header that is none.
func cleanType(header string) string {
	mediaType, params, err := mime.ParseMediaType(header)
	if err != nil {
		return ""
	}
	clean := mime.FormatMediaType(mediaType, params)
	if len(clean) > maxContentType {
		return ""
	}
	return clean
}
