package fakeget3w

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"image"
	"image/color"
	"image/png"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// medium is one kind of output: its media type, and the beginning of its files.
type medium struct {
	mediaType string
	head      func(sum [sha256.Size]byte) []byte
}

// media are the kinds by extension. Files begin with the right magic bytes, so that content
// sniffing agrees with the name; only a .png is more than that.
var media = map[string]medium{
	".png":  {"image/png", picture},
	".jpg":  {"image/jpeg", magic("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")},
	".webp": {"image/webp", magic("RIFF\x00\x00\x00\x00WEBPVP8 ")},
	".mp4":  {"video/mp4", magic("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom")},
	".mp3":  {"audio/mpeg", magic("ID3\x04\x00\x00\x00\x00\x00\x00")},
}

// Extensions returns the extensions of outputs, sorted.
func Extensions() []string { return slices.Sorted(maps.Keys(media)) }

func magic(head string) func([sha256.Size]byte) []byte {
	return func([sha256.Size]byte) []byte { return []byte(head) }
}

// picture returns a PNG of 16 squares in one colour; viewers ignore what follows.
func picture(sum [sha256.Size]byte) []byte {
	img := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range 64 * 64 {
		x, y := i%64, i/64
		on := sum[(y/16*4+x/16)%len(sum)]&1 == 1
		shade := color.RGBA{sum[16], sum[17], sum[18], 0xff}
		if on {
			shade = color.RGBA{^sum[16], ^sum[17], ^sum[18], 0xff}
		}
		img.SetRGBA(x, y, shade)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		panic(err) // a picture of this size, into memory
	}
	return out.Bytes()
}

// Content is the bytes of an output, determined by its name, the seed and its size: a beginning
// of its kind, which the name's extension says, and a repeated block of noise.
type Content struct {
	mediaType string
	etag      string
	head      []byte
	block     [blockBytes]byte
	size      int64
}

// blockBytes is odd, so that a misplaced piece does not look right.
const blockBytes = 4093

// NewContent returns the content of an output with one of the [Extensions].
func NewContent(name string, seed uint64, size int64) *Content {
	text := binary.BigEndian.AppendUint64(nil, seed)
	text = binary.BigEndian.AppendUint64(append(text, name...), uint64(size))
	sum := sha256.Sum256(text)
	m := media[path.Ext(name)]
	c := &Content{mediaType: m.mediaType, etag: `"` + hex.EncodeToString(sum[:8]) + `"`, head: m.head(sum), size: size}
	noise := rand.NewChaCha8(sum)
	_, _ = noise.Read(c.block[:]) // it never fails
	return c
}

// Reader reads the bytes from the first one on.
func (c *Content) Reader() io.ReadSeeker { return io.NewSectionReader(c, 0, c.size) }

// Serve answers a request for the output, also for a range of it.
func (c *Content) Serve(w http.ResponseWriter, r *http.Request, modified time.Time) {
	w.Header().Set("Content-Type", c.mediaType)
	w.Header().Set("ETag", c.etag)
	http.ServeContent(w, r, "", modified, c.Reader())
}

// ReadAt always fills p: the section reader bounds the content.
func (c *Content) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(c.head)) {
		n = copy(p, c.head[off:])
	}
	for n < len(p) {
		at := (off + int64(n)) % blockBytes
		n += copy(p[n:], c.block[at:])
	}
	return n, nil
}

// predictionOf returns the id in an output's path: the part before the last dash.
func predictionOf(output string) string {
	name := strings.TrimPrefix(output, "/outputs/")
	if at := strings.LastIndexByte(name, '-'); at >= 0 {
		return name[:at]
	}
	return ""
}
