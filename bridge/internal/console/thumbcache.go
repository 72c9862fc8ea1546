package console

import (
	"path"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// maxThumbBytes bounds the thumbnails in memory, and maxThumbs their number.
	maxThumbBytes = 32 << 20
	maxThumbs     = 20_000
	// thumbOverhead is about what an entry takes beside its picture and its path, in bytes.
	thumbOverhead = 512
)

// thumb is a small picture.
type thumb struct {
	// of is the tag of the output, and tag that of the thumbnail; empty: the output has none, and
	// the thumbnail is not kept.
	of, tag     string
	contentType string
	body        []byte
	icon        bool // body is one of all icons
}

// thumbCache keeps the thumbnails that were asked for last.
type thumbCache struct {
	mu      sync.Mutex
	thumbs  *simplelru.LRU[thumbKey, *thumb]
	bytes   int
	cleared uint64 // how many times
}

func newThumbCache() *thumbCache {
	c := &thumbCache{}
	thumbs, err := simplelru.NewLRU(maxThumbs, func(key thumbKey, t *thumb) { c.bytes -= weight(key, t) })
	if err != nil {
		panic(err) // the size is a constant
	}
	c.thumbs = thumbs
	return c
}

func weight(key thumbKey, t *thumb) int {
	if t.icon {
		return thumbOverhead + len(key)
	}
	return thumbOverhead + len(key) + len(t.body)
}

// now is a moment for put.
func (c *thumbCache) now() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cleared
}

func (c *thumbCache) get(key thumbKey) *thumb {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, _ := c.thumbs.Get(key)
	return t
}

// put keeps a thumbnail, unless the cache was cleared since its making began.
func (c *thumbCache) put(key thumbKey, t *thumb, since uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cleared != since || t.of == "" {
		return
	}
	c.thumbs.Remove(key)
	c.thumbs.Add(key, t)
	c.bytes += weight(key, t)
	for c.bytes > maxThumbBytes {
		c.thumbs.RemoveOldest()
	}
}

func (c *thumbCache) remove(key thumbKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.thumbs.Remove(key)
}

func (c *thumbCache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.thumbs.Len()
}

func (c *thumbCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cleared++
	c.thumbs.Purge()
}

// Icons for what has no thumbnail, as the static files thumb-….svg.
const (
	iconImage   = "image"
	iconVideo   = "video"
	iconAudio   = "audio"
	iconText    = "text"
	iconFile    = "file"
	iconMissing = "missing"
)

var icons = readIcons()

func readIcons() map[string][]byte {
	all := map[string][]byte{}
	for _, name := range []string{iconImage, iconVideo, iconAudio, iconText, iconFile, iconMissing} {
		text, err := staticFiles.ReadFile(path.Join("static", "thumb-"+name+".svg"))
		if err != nil {
			panic(err)
		}
		all[name] = text
	}
	return all
}

// iconOf returns the icon for an output with that tag.
func iconOf(name, tag string) *thumb {
	return &thumb{of: tag, tag: thumbTag(tag, name), contentType: "image/svg+xml", body: icons[name], icon: true}
}
