package archive

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/hookspan/hookspan/bridge"
)

// maxAnew is how often a download is begun anew within one attempt, because it could not be
// continued.
const maxAnew = 2

// download stores an output that is an address. When there is no room for the output, the bytes
// that came are dropped, and the download begins anew once there is room.
func (t *attempt) download(ctx context.Context, n int, o bridge.Output) (manifestOutput, error) {
	var need int64
	for anew := 0; ; {
		m, err := t.tryDownload(ctx, n, o, need)
		if full, ok := asNoRoom(err); ok {
			if err := t.space.wait(ctx, full); err != nil {
				return manifestOutput{}, err
			}
			need = full.need
			continue
		}
		if f, ok := asFault(err); !ok || !f.anew || anew == maxAnew {
			return m, err
		}
		anew++
	}
}

// tryDownload is download with a *noRoom as error instead of the wait. It needs at least need
// bytes of room, as an earlier attempt has found.
func (t *attempt) tryDownload(ctx context.Context, n int, o bridge.Output, need int64) (m manifestOutput, err error) {
	defer func() {
		if f, ok := asFault(err); ok {
			t.late.judge(f)
			t.expire(f)
		}
	}()
	d, err := t.downloader.get(ctx, o.URL)
	if err != nil {
		return manifestOutput{}, err
	}
	defer d.Close()
	room, err := t.space.grant(d.origin.length, need)
	if err != nil {
		return manifestOutput{}, err
	}
	defer room.release()
	body := granted{room, d}
	head, err := firstBytes(body)
	if err != nil {
		return manifestOutput{}, err
	}
	j, ext := coded(d.origin.coding, d.contentType, head)
	if ext == "" {
		ext = extension(d.address.Path, j.contentType)
	}
	return t.stream(ctx, n, o, fileName(n, ext), j, io.MultiReader(bytes.NewReader(head), body))
}

// stream stores an output for which there is room.
func (t *attempt) stream(ctx context.Context, n int, o bridge.Output, name string, j judgement, r io.Reader) (manifestOutput, error) {
	m, err := t.files.stream(ctx, file{t.key(name), j.contentType}, r)
	if errors.Is(err, errStored) { // by another process meanwhile
		return t.measure(ctx, n, o, name)
	}
	if err != nil {
		return manifestOutput{}, err
	}
	t.space.stored(m.bytes)
	return t.describe(n, o, name, j, m), nil
}

// firstBytes returns the bytes that decide on the type of a file, or all of a shorter file.
func firstBytes(r io.Reader) ([]byte, error) {
	head := make([]byte, sniffed)
	n, err := io.ReadFull(r, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:n], err
}

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
