package archive

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/hookspan/hookspan/bridge"
)

// maxAnew is how often a download is begun anew within one attempt, because what
// came could not be gone on with.
const maxAnew = 2

// download stores an output that is an address. Whenever there is no room for it
// the part that came is dropped, since it takes room too, and begun anew later.
func (t *attempt) download(ctx context.Context, n int, o bridge.Output) (entry, error) {
	var need int64
	for anew := 0; ; {
		e, err := t.tryDownload(ctx, n, o, need)
		if full, ok := asNoRoom(err); ok {
			if err := t.space.wait(ctx, full); err != nil {
				return entry{}, err
			}
			need = full.need
			continue
		}
		if f, ok := asFault(err); !ok || !f.anew || anew == maxAnew {
			return e, err
		}
		anew++
	}
}

// tryDownload is download with a *noRoom as error instead of the wait. It needs
// at least need bytes of room, as an earlier try has found.
func (t *attempt) tryDownload(ctx context.Context, n int, o bridge.Output, need int64) (e entry, err error) {
	p, err := t.files.part(ctx, t.folder, n)
	if err != nil {
		return entry{}, err
	}
	left := p.left()
	var room *grant
	defer func() {
		if f, ok := asFault(err); ok {
			t.late.judge(f) // before it is decided what stays
			t.expire(f)
		}
		stays, failed := p.close(mayGoOn(err))
		t.space.stored(stays - left.bytes)
		if room != nil {
			room.release() // now that it is counted
		}
		if err == nil {
			err = failed
		}
	}()
	d, err := t.fetcher.get(ctx, o.URL, left)
	if err != nil {
		return entry{}, err
	}
	defer d.Close()
	if room, err = t.space.grant(d.rest(), need); err != nil {
		return entry{}, err
	}

	from, at, head, body := d.origin, d.at, left.head, io.Reader(granted{room, d})
	if at == 0 {
		if head, err = firstBytes(body); err != nil {
			return entry{}, err
		}
		body = io.MultiReader(bytes.NewReader(head), body)
	}
	j, ext := coded(d.origin.Coding, d.contentType, head)
	if ext == "" {
		ext = extension(d.address.Path, j.contentType)
	}
	name := fileName(n, ext)
	m, err := p.fill(ctx, file{t.key(name), j.contentType}, from, at, body)
	if errors.Is(err, errStored) { // by another process, since we looked
		return t.measure(ctx, n, o, name)
	}
	if err != nil {
		return entry{}, err
	}
	return t.entry(n, o, name, j, m), nil
}

// mayGoOn reports whether a later try can use what came before the error.
func mayGoOn(err error) bool {
	if _, full := asNoRoom(err); full {
		return false
	}
	f, ok := asFault(err)
	return err != nil && (!ok || !f.final && !f.anew)
}

// firstBytes are as many as say what a file is, or all of it.
func firstBytes(r io.Reader) ([]byte, error) {
	head := make([]byte, sniffed)
	n, err := io.ReadFull(r, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:n], err
}

// rest is how much of the file is to come, -1 when the sender did not say.
func (d *download) rest() int64 {
	if d.origin.Length < 0 {
		return -1
	}
	return d.origin.Length - d.at
}

// granted reads what there is room for.
type granted struct {
	room *grant
	r    io.Reader
}

func (g granted) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if full := g.room.take(int64(n)); full != nil {
		return 0, full
	}
	return n, err
}
