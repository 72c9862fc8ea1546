package archive

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
)

// storeOutputs stores each output, several at once, whatever becomes of the others.
// The error is one that concerns all of them.
func (t *attempt) storeOutputs(ctx context.Context) ([]entry, []*fault, error) {
	entries := make([]entry, len(t.outputs))
	faulty := make([]*fault, len(t.outputs))
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(t.parallel)
	for n, o := range t.outputs {
		if each.Err() != nil {
			break
		}
		group.Go(func() error {
			e, err := t.storeOutput(each, n, o)
			f, isFault := asFault(err)
			switch {
			case each.Err() != nil: // which is nobody's fault
				return context.Cause(each)
			case isFault:
				e.N, e.URL, e.Error = n, o.URL, f.Error()
				faulty[n] = t.note(n, f)
			case err != nil:
				return err
			}
			entries[n] = e
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return entries, slices.DeleteFunc(faulty, func(f *fault) bool { return f == nil }), nil
}

// expire makes a fault final once the provider has deleted its outputs.
func (t *attempt) expire(f *fault) {
	if f.final || t.end.IsZero() || time.Now().Before(t.end) {
		return
	}
	f.final, f.short = true, "expired"
	f.err = fmt.Errorf("%w, and the provider has kept it until %s only", f.err, t.end.UTC().Format(time.RFC3339))
}

// note says which output the fault is of, and has somebody look if that is needed.
func (t *attempt) note(n int, f *fault) *fault {
	if f.refused {
		t.alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmArchiveRefused, Subject: f.host, Text: "output is not downloaded: " + f.Error(),
			Details: map[string]any{"consumer": t.name, "source": t.ev.Source, "event": t.ev.ID},
		})
	}
	f.err = fmt.Errorf("output %d: %w", n, f.err)
	return f
}

// storeOutput returns the entry of a stored output. The error is a fault when it
// concerns no other output; the entry then says what was promised of it before.
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
	return t.storeData(ctx, n, o, name, data)
}

// storeData stores an output that came with the event.
func (t *attempt) storeData(ctx context.Context, n int, o bridge.Output, name string, data []byte) (e entry, err error) {
	room, err := t.space.grantWait(ctx, int64(len(data)))
	if err != nil {
		return entry{}, err
	}
	defer room.release()
	p, err := t.files.part(ctx, t.folder, n)
	if err != nil {
		return entry{}, err
	}
	defer func() {
		stays, failed := p.close(false)
		t.space.stored(stays)
		if err == nil {
			err = failed
		}
	}()
	j := judgement{contentType: typeOf(name)}
	m, err := p.fill(ctx, file{t.key(name), j.contentType}, origin{}, 0, bytes.NewReader(data))
	if errors.Is(err, errStored) { // by another process, since we looked
		return t.measure(ctx, n, o, name)
	}
	if err != nil {
		return entry{}, err
	}
	return t.entry(n, o, name, j, m), nil
}

func (t *attempt) entry(n int, o bridge.Output, name string, j judgement, m measured) entry {
	return entry{
		N:           n,
		URL:         o.URL,
		Key:         t.key(name),
		Bytes:       m.bytes,
		ContentType: j.contentType,
		ClaimedType: j.claimed,
		SniffedType: j.seen,
		Coding:      j.coding,
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
	j := judgement{contentType: typeOf(name)}
	if u, err := readAddress(o.URL); err == nil {
		if c, ok := storedCoding(name, u.Path); ok {
			j = judgement{contentType: c.contentType, coding: c.name}
		}
	}
	e := t.entry(n, o, name, j, m)
	before, ok := t.previous.find(n, e.Key)
	if !ok {
		return e, nil
	}
	before.Error = ""
	if before.SHA256 != e.SHA256 {
		// The promise stays in the manifest, or the next attempt would make one of
		// what is damaged.
		return before, &fault{
			err:   fmt.Errorf("%s is not what its manifest says: move it away to have it downloaded again", e.Key),
			short: "changed",
			final: true,
		}
	}
	return before, nil
}
