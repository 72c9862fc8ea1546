package archive

import (
	"bytes"
	"net/http"
	"path"
	"slices"
	"strings"
)

// coding is a content coding that changes the bytes of a file. A file that came in a coding is
// stored in it, and is named and typed by it.
type coding struct {
	name, ext, contentType string
	// magic is how every file in the coding begins, empty where nothing is known.
	magic string
}

// codings are those of the IANA registry of HTTP content codings. Other names change no bytes:
// identity, aws-chunked, which stores keep by mistake, or a charset. Browsers ignore them too.
var codings = []coding{
	{"gzip", "gz", "application/gzip", "\x1f\x8b"},
	{"zstd", "zst", "application/zstd", "\x28\xb5\x2f\xfd"},
	{"compress", "z", "application/x-compress", "\x1f\x9d"},
	{"br", "br", codedType, ""},
	{"deflate", "zz", codedType, ""},
	{"dcb", "dcb", codedType, "\xff\x44\x43\x42"},
	{"dcz", "dcz", codedType, "\x5e\x2a\x4d\x18"},
	{"aes128gcm", "aes", codedType, ""},
	{"exi", "exi", codedType, ""},
	{"pack200-gzip", "pack", codedType, "\x1f\x8b"},
}

// codedType is the type of a file in a coding without a type of its own.
const codedType = "application/octet-stream"

// contentCoding lists the codings of a body in the order in which they were applied, such as
// "gzip, br"; it is empty for a body in none.
func contentCoding(h http.Header) string {
	var list []string
	for name := range strings.SplitSeq(strings.Join(h.Values("Content-Encoding"), ","), ",") {
		name = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "x-")
		if slices.ContainsFunc(codings, func(c coding) bool { return c.name == name }) && len(list) < maxCodings {
			list = append(list, name)
		}
	}
	return strings.Join(list, ", ")
}

// maxCodings bounds the list of codings.
const maxCodings = 4

// coded is judge for a body that should be in the codings. The last coding decides what the file
// is, unless the first bytes show that the file is not in it.
func coded(codings, claim string, head []byte) (judgement, string) {
	for codings != "" {
		rest, last := "", codings
		if i := strings.LastIndex(codings, ", "); i >= 0 {
			rest, last = codings[:i], codings[i+2:]
		}
		if c := codingNamed(last); !c.belied(claim, head) {
			return judgement{contentType: c.contentType, claimed: claim, coding: codings}, c.ext
		}
		codings = rest
	}
	return judge(claim, head), ""
}

func codingNamed(name string) coding {
	return codings[slices.IndexFunc(codings, func(c coding) bool { return c.name == name })]
}

// belied reports whether the first bytes show that the file is not in the coding: they lack its
// magic, or are surely of the type that the sender named for the file itself.
func (c coding) belied(claim string, head []byte) bool {
	if len(head) == 0 || c.magic != "" {
		return !bytes.HasPrefix(head, []byte(c.magic)) || len(head) == 0
	}
	seen := bare(http.DetectContentType(head))
	return seen != codedType && seen != "text/plain" && seen == bare(claim)
}

// storedCoding is the coding of a stored file by its name, unless its address alone gives it
// that extension.
func storedCoding(name, urlPath string) (coding, bool) {
	ext := strings.TrimPrefix(path.Ext(name), ".")
	i := slices.IndexFunc(codings, func(c coding) bool { return c.ext == ext })
	if i < 0 || extension(urlPath, "") == ext {
		return coding{}, false
	}
	return codings[i], true
}
