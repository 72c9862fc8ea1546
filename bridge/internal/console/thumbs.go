package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// makingThumbs is how many thumbnails are made at the same time, and waitingThumbs how many
	// requests make one or wait for that.
	makingThumbs, waitingThumbs = 2, 64
	// thumbTime bounds the wait for a thumbnail and the making.
	thumbTime = 30 * time.Second
)

// thumbnails makes thumbnails, a few at a time, and keeps some in memory. It is safe for
// concurrent use.
type thumbnails struct {
	queue, work, memory *semaphore.Weighted
	kept                *thumbCache
}

func newThumbnails() *thumbnails {
	return &thumbnails{
		queue: semaphore.NewWeighted(waitingThumbs), work: semaphore.NewWeighted(makingThumbs), memory: semaphore.NewWeighted(pictureMemory),
		kept: newThumbCache(),
	}
}

// Forget removes from memory what was made of outputs, since some may have been erased. What is
// being made is not kept either.
func (c *Console) Forget() { c.thumbnails.kept.clear() }

// Remembered is how many small pictures of outputs are in memory, for tests.
func (c *Console) Remembered() int { return c.thumbnails.kept.len() }

var errThumbsBusy = &problem{Status: http.StatusServiceUnavailable, Title: "Too many wait for thumbnails: try again.", RetryAfter: "2"}

// thumb answers a small picture of an output. The API says at each request whether the visitor
// may see the output, and whether it is still there.
func (c *Console) thumb(w http.ResponseWriter, r *http.Request) {
	v := c.visit(r)
	ctx, cancel := context.WithTimeout(r.Context(), thumbTime)
	defer cancel()
	t, err := c.thumbnails.get(ctx, v)
	p, refused := errors.AsType[*problem](err)
	switch {
	case refused && p.Missing():
		sendThumb(w, r, iconOf(iconMissing, ""), http.StatusNotFound)
	case refused:
		if p.RetryAfter != "" {
			w.Header().Set("Retry-After", p.RetryAfter)
		}
		http.Error(w, p.Error(), p.Status)
	case err != nil: // the time is over, or the archive stopped sending
		w.Header().Set("Retry-After", "2")
		http.Error(w, "The thumbnail could not be made in time: try again.", http.StatusServiceUnavailable)
	default:
		sendThumb(w, r, t, http.StatusOK)
	}
}

func sendThumb(w http.ResponseWriter, r *http.Request, t *thumb, status int) {
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Content-Type", t.contentType)
	if status == http.StatusOK {
		h.Set("Cache-Control", "private, no-cache") // whoever has it asks whether it is still there
		if t.tag != "" {
			h.Set("ETag", t.tag)
			if r.Header.Get("If-None-Match") == t.tag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(t.body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(t.body) // a browser that is gone needs no picture
	}
}

// get returns the thumbnail of the output that the visitor's request names. The error is a
// [*problem] of the API, or says that the thumbnail could not be made now.
func (n *thumbnails) get(ctx context.Context, v *visit) (*thumb, error) {
	key, since := thumbKey(v.outputPath()), n.kept.now()
	t, head, err := n.known(ctx, v, key)
	if t != nil || err != nil {
		return t, err
	}
	if t = plainIcon(head); t != nil {
		n.kept.put(key, t, since)
		return t, nil
	}
	if !n.queue.TryAcquire(1) {
		return nil, errThumbsBusy
	}
	defer n.queue.Release(1)
	if err := n.work.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer n.work.Release(1)
	// It may have been made, or the output erased, during the wait.
	since = n.kept.now()
	if t, head, err = n.known(ctx, v, key); t != nil || err != nil {
		return t, err
	}
	if t, err = n.make(ctx, v, head); err == nil {
		n.kept.put(key, t, since)
	}
	return t, err
}

// known returns the thumbnail if there is one of the output as it is now, and what the output is
// if there is none.
func (n *thumbnails) known(ctx context.Context, v *visit, key thumbKey) (*thumb, outputHead, error) {
	t := n.kept.get(key)
	tag := ""
	if t != nil {
		tag = t.of
	}
	head, err := v.headOutput(ctx, tag)
	switch {
	case err == nil && t != nil && head.status == http.StatusNotModified:
		return t, head, nil
	case t != nil && err == nil || isMissing(err):
		n.kept.remove(key)
	}
	return nil, head, err
}

func isMissing(err error) bool {
	p, ok := errors.AsType[*problem](err)
	return ok && p.Missing()
}

// plainIcon returns the icon of an output of which no thumbnail is made, else nil.
func plainIcon(head outputHead) *thumb {
	kind, tag := head.header.Get("Content-Type"), head.header.Get("ETag")
	size, err := strconv.ParseInt(head.header.Get("Content-Length"), 10, 64)
	_, decodes := decoders[kind]
	switch {
	case decodes && err == nil && size <= maxPicture:
		return nil
	case strings.HasPrefix(kind, "image/"):
		return iconOf(iconImage, tag)
	case strings.HasPrefix(kind, "video/"):
		return iconOf(iconVideo, tag)
	case strings.HasPrefix(kind, "audio/"):
		return iconOf(iconAudio, tag)
	case strings.HasPrefix(kind, "text/"):
		return iconOf(iconText, tag)
	}
	return iconOf(iconFile, tag)
}

// make reads the output and makes its thumbnail, or the icon of pictures when it cannot be
// decoded.
func (n *thumbnails) make(ctx context.Context, v *visit, head outputHead) (*thumb, error) {
	tag := head.header.Get("ETag")
	length, err := strconv.ParseInt(head.header.Get("Content-Length"), 10, 64)
	if err != nil {
		return nil, err
	}
	file, err := v.openOutput(ctx, tag)
	if err != nil {
		return nil, err
	}
	defer file.close()
	in := &counted{r: io.LimitReader(file, length)}
	small, contentType, err := n.decode(ctx, head.header.Get("Content-Type"), in)
	switch {
	case err == nil:
		return &thumb{of: tag, tag: thumbTag(tag, "320"), contentType: contentType, body: small}, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case in.ended && in.n < length:
		return nil, file.err()
	}
	return iconOf(iconImage, tag), nil
}

func (n *thumbnails) decode(ctx context.Context, contentType string, in io.Reader) (small []byte, smallType string, err error) {
	p, err := readPicture(contentType, in)
	if err != nil {
		return nil, "", err
	}
	if err := n.memory.Acquire(ctx, p.memory); err != nil {
		return nil, "", err
	}
	defer n.memory.Release(p.memory)
	return p.thumbnail()
}

// thumbKey is the path of an output in the API.
type thumbKey string

// thumbTag is the tag of what was made of an output.
func thumbTag(of, what string) string {
	if of == "" {
		return ""
	}
	return `"` + url.PathEscape(strings.Trim(of, `"`)) + "-" + what + `"`
}
