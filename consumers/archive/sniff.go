package archive

import (
	"net/http"
	"slices"
	"strings"
)

// sniffed is how many of the first bytes decide on the type of a file.
const sniffed = 512

// judgement is the type of a file. claimed and seen are set where the sender's type and the
// first bytes disagree.
type judgement struct {
	contentType   string
	claimed, seen string
	// coding lists the codings of the file, empty for none.
	coding string
}

// judge compares the sender's content type with the first bytes, by the algorithm of browsers
// (https://mimesniff.spec.whatwg.org/). The claim stands, as the maker of models knows better
// than a table, unless it says nothing, or calls an active file passive or the other way round:
// an error page that is called a picture is a page.
func judge(claim string, head []byte) judgement {
	if len(head) == 0 {
		return judgement{contentType: claim}
	}
	seen := http.DetectContentType(head)
	switch {
	case bare(claim) == "":
		return judgement{contentType: seen}
	case agree(bare(claim), bare(seen)):
		return judgement{contentType: claim}
	case slices.Contains(genericTypes, bare(claim)),
		active(claim) && !textual(seen), active(seen) && !textual(claim):
		return judgement{contentType: seen, claimed: claim, seen: seen}
	}
	return judgement{contentType: claim, claimed: claim, seen: seen}
}

var genericTypes = []string{"application/octet-stream", "binary/octet-stream", "application/binary", "application/x-download", "application/force-download"}

// sameTypes are different names of one type, or types with the same first bytes.
var sameTypes = [][]string{
	{"audio/wave", "audio/wav", "audio/x-wav", "audio/vnd.wave"},
	{"audio/mpeg", "audio/mp3"},
	{"application/ogg", "audio/ogg", "video/ogg"},
	{"video/webm", "audio/webm", "video/x-matroska"},
	{"video/mp4", "audio/mp4", "video/quicktime", "audio/x-m4a"},
	{"video/avi", "video/x-msvideo"},
	{"application/x-gzip", "application/gzip"},
	{"image/x-icon", "image/vnd.microsoft.icon"},
}

// agree reports whether the first bytes allow the claim.
func agree(claim, seen string) bool {
	switch seen {
	case claim, "application/octet-stream":
		return true
	case "text/plain", "text/xml":
		return textual(claim)
	case "application/zip": // many formats are zip files
		return strings.HasPrefix(claim, "application/vnd.") || strings.Contains(claim, "zip")
	}
	return slices.ContainsFunc(sameTypes, func(same []string) bool {
		return slices.Contains(same, claim) && slices.Contains(same, seen)
	})
}

func bare(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return t
}

func textual(contentType string) bool {
	t := bare(contentType)
	return strings.HasPrefix(t, "text/") || strings.HasSuffix(t, "json") || strings.HasSuffix(t, "xml") || strings.HasSuffix(t, "javascript")
}

// active reports whether a browser runs code in files of the type.
func active(contentType string) bool {
	t := bare(contentType)
	return t == "text/html" || strings.HasSuffix(t, "xml") || strings.HasSuffix(t, "javascript")
}
