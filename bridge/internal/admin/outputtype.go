package admin

import (
	"bytes"
	"net/http"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

const (
	unknownType = "application/octet-stream"
	plainText   = "text/plain; charset=utf-8"
)

// inlineTypes are what the first bytes of a file may be for a browser to show it by itself. No
// browser runs anything in them. SVG, HTML, XML, PDF and everything else are saved.
var inlineTypes = []string{
	"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif",
	"video/mp4", "video/webm", "video/quicktime", "audio/mpeg", "audio/wave", "audio/mp4", "audio/ogg", "audio/webm", "audio/flac", "video/ogg", plainText,
}

// shownType returns the content type that a file is sent with, and whether a browser may show
// it. The first bytes decide; what the state says only tells sound from pictures. A file in a
// coding is not looked into.
func shownType(head []byte, o bridge.OutputState) (contentType string, inline bool) {
	if o.ContentEncoding != "" {
		return unknownType, false
	}
	claim, _, _ := strings.Cut(o.ContentType, ";")
	seen := sniff(head, claim)
	if !slices.Contains(inlineTypes, seen) || seen == plainText && isMarkup(head, claim) {
		return unknownType, false
	}
	return seen, true
}

// isMarkup reports whether a text is, or is called, a language in which scripts can stand.
func isMarkup(head []byte, claim string) bool {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n\f\v\x00")
	return len(text) == 0 || text[0] == '<' || strings.HasSuffix(claim, "xml") || strings.HasSuffix(claim, "html") || strings.HasSuffix(claim, "javascript")
}

// sniff returns the type of a file by its first bytes, as browsers do, and of a few formats more
// that they play.
func sniff(head []byte, claim string) string {
	sound := strings.HasPrefix(claim, "audio/")
	seen := http.DetectContentType(head)
	switch {
	case bytes.HasPrefix(head, []byte("fLaC")):
		return "audio/flac"
	case len(head) >= 12 && string(head[4:8]) == "ftyp":
		return sniffMP4(string(head[8:12]), sound)
	case sound && seen == "video/webm":
		return "audio/webm"
	case seen == "application/ogg" && claim == "video/ogg":
		return "video/ogg"
	case seen == "application/ogg":
		return "audio/ogg"
	case sound && len(head) > 1 && head[0] == 0xff && head[1]&0xe6 == 0xe2: // a frame of MPEG layer III
		return "audio/mpeg"
	}
	return seen
}

// sniffMP4 returns the type of a file of the ISO base media file format by its major brand.
func sniffMP4(brand string, sound bool) string {
	switch {
	case brand == "avif" || brand == "avis":
		return "image/avif"
	case brand == "qt  ":
		return "video/quicktime"
	case sound || brand == "M4A " || brand == "M4B ":
		return "audio/mp4"
	case slices.Contains([]string{"isom", "mp41", "mp42", "avc1", "dash", "M4V ", "MSNV"}, brand) || strings.HasPrefix(brand, "iso") || strings.HasPrefix(brand, "3gp"):
		return "video/mp4"
	}
	return unknownType
}
