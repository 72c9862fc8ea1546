package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

// copyBuffer is how much of an output is in memory, in bytes.
const copyBuffer = 256 << 10

// storeOutputs stores each output, whatever becomes of the others. The error is
// one that concerns all of them.
func (t *attempt) storeOutputs(ctx context.Context) ([]entry, []*fault, error) {
	entries := make([]entry, len(t.outputs))
	var faults []*fault
	for n, o := range t.outputs {
		e, err := t.storeOutput(ctx, n, o)
		if ctx.Err() != nil { // which is nobody's fault
			return nil, nil, context.Cause(ctx)
		}
		f, isFault := asFault(err)
		if err != nil && !isFault {
			return nil, nil, err
		}
		if isFault {
			if f.refused {
				t.alarms.raise(alarmRefused, f.host, "output is not downloaded: "+f.Error(),
					zap.String("host", f.host), zap.String("source", t.ev.Source), zap.String("event", t.ev.ID))
			}
			e = entry{N: n, URL: o.URL, Error: f.Error()}
			f.err = fmt.Errorf("output %d: %w", n, f.err)
			faults = append(faults, f)
		}
		entries[n] = e
	}
	return entries, faults, nil
}

// storeOutput returns the entry of a stored output. The error is a fault when it
// concerns no other output.
func (t *attempt) storeOutput(ctx context.Context, n int, o bridge.Output) (entry, error) {
	if name, ok := t.stored[n]; ok {
		return t.measure(ctx, n, o, name)
	}
	if o.URL != "" {
		return t.download(ctx, n, o)
	}
	data, name := []byte(o.Raw), fileName(n, "json")
	var text string
	if len(o.Raw) > 0 && o.Raw[0] == '"' && json.Unmarshal(o.Raw, &text) == nil {
		data, name = []byte(text), fileName(n, "txt")
	}
	err := t.save(ctx, t.key(name), typeOf(name), false, data)
	if errors.Is(err, errStored) { // by another process, since we looked
		return t.measure(ctx, n, o, name)
	}
	if err != nil {
		return entry{}, err
	}
	sum := sha256.Sum256(data)
	return t.entry(n, o, name, typeOf(name), measured{int64(len(data)), sum[:], time.Now()}), nil
}

func (t *attempt) entry(n int, o bridge.Output, name, contentType string, m measured) entry {
	return entry{
		N:           n,
		URL:         o.URL,
		Key:         t.key(name),
		Bytes:       m.bytes,
		ContentType: contentType,
		SHA256:      hex.EncodeToString(m.sha256),
		StoredAt:    m.at.UTC(),
	}
}

// measure makes the entry of an output that is stored already, which need not be
// what its manifest says any more: disks and people change files.
func (t *attempt) measure(ctx context.Context, n int, o bridge.Output, name string) (entry, error) {
	m, err := t.files.measure(ctx, t.key(name))
	if err != nil {
		return entry{}, err
	}
	e := t.entry(n, o, name, typeOf(name), m)
	before, ok := t.previous.find(n, e.Key)
	if !ok {
		return e, nil
	}
	if before.SHA256 != e.SHA256 {
		return entry{}, &fault{
			err:   fmt.Errorf("%s is not what its manifest says: move it away to have it downloaded again", e.Key),
			short: "changed",
			final: true,
		}
	}
	return before, nil
}

// download stores an output that is an address. Whenever there is no room for it
// the part that came is dropped, since it takes room too, and begun anew later.
func (t *attempt) download(ctx context.Context, n int, o bridge.Output) (entry, error) {
	var need int64
	for {
		e, err := t.tryDownload(ctx, n, o, need)
		full, ok := asNoRoom(err)
		if !ok {
			return e, err
		}
		if err := t.space.wait(ctx, full); err != nil {
			return entry{}, err
		}
		need = full.need
	}
}

// tryDownload is download with a *noRoom as error instead of the wait. It needs
// at least need bytes of room, as an earlier try has found.
func (t *attempt) tryDownload(ctx context.Context, n int, o bridge.Output, need int64) (entry, error) {
	d, err := t.fetcher.get(ctx, o.URL)
	if err != nil {
		return entry{}, err
	}
	defer d.Close()
	room, err := t.space.grant(d.length, need)
	if err != nil {
		return entry{}, err
	}
	defer room.release()
	if t.buf == nil {
		t.buf = make([]byte, copyBuffer)
	}
	var size int64
	sum := sha256.New()
	name := fileName(n, extension(d.urlPath, d.contentType))
	err = t.files.put(ctx, t.key(name), d.contentType, false, func(w io.Writer) error {
		var err error // the room is asked first, and may refuse
		size, err = io.CopyBuffer(io.MultiWriter(room, sum, w), d, t.buf)
		return err
	})
	if errors.Is(err, errStored) { // by another process, since we looked
		return t.measure(ctx, n, o, name)
	}
	if err != nil {
		return entry{}, err
	}
	return t.entry(n, o, name, d.contentType, measured{size, sum.Sum(nil), time.Now()}), nil
}
