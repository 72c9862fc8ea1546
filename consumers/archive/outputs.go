package archive

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
)

// storeOutputs stores several outputs at once, and goes on when some have faults. The error is
// one that concerns all of them.
func (t *attempt) storeOutputs(ctx context.Context) ([]manifestOutput, []*fault, error) {
	outputs := make([]manifestOutput, len(t.outputs))
	faulty := make([]*fault, len(t.outputs))
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(t.parallel)
	for n, o := range t.outputs {
		if each.Err() != nil {
			break
		}
		group.Go(func() error {
			m, err := t.storeOutput(each, n, o)
			f, isFault := asFault(err)
			switch {
			case each.Err() != nil: // the attempt ends, which is no fault of the output
				return context.Cause(each)
			case isFault:
				m.N, m.URL, m.Error = n, o.URL, f.Error()
				faulty[n] = t.report(n, f)
			case err != nil:
				return err
			}
			outputs[n] = m
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return outputs, slices.DeleteFunc(faulty, func(f *fault) bool { return f == nil }), nil
}

// expire makes a fault final once the provider has deleted its outputs.
func (t *attempt) expire(f *fault) {
	if f.final || t.end.IsZero() || time.Now().Before(t.end) {
		return
	}
	f.final, f.short = true, "expired"
	f.err = fmt.Errorf("%w, and the provider has kept it until %s only", f.err, t.end.UTC().Format(time.RFC3339))
}

// report names the output in the fault, and raises an alarm for a refused one.
func (t *attempt) report(n int, f *fault) *fault {
	if f.refused {
		t.alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmArchiveRefused, Subject: f.host, Text: "output is not downloaded: " + f.Error(),
			Details: map[string]any{"consumer": t.name, "source": t.ev.Source, "event": t.ev.ID},
		})
	}
	f.err = fmt.Errorf("output %d: %w", n, f.err)
	return f
}

// storeOutput stores an output and returns its entry for the manifest. The error is a fault when
// it concerns no other output; the manifest then keeps what it said of the output before.
func (t *attempt) storeOutput(ctx context.Context, n int, o bridge.Output) (manifestOutput, error) {
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

func (t *attempt) storeData(ctx context.Context, n int, o bridge.Output, name string, data []byte) (manifestOutput, error) {
	room, err := t.space.grantWait(ctx, int64(len(data)))
	if err != nil {
		return manifestOutput{}, err
	}
	defer room.release()
	return t.stream(ctx, n, o, name, judgement{contentType: typeOf(name)}, bytes.NewReader(data))
}

func (t *attempt) describe(n int, o bridge.Output, name string, j judgement, m measured) manifestOutput {
	return manifestOutput{
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

// measure describes an output that is stored already. Disks and people change files, so the file
// need not match its manifest any more.
func (t *attempt) measure(ctx context.Context, n int, o bridge.Output, name string) (manifestOutput, error) {
	m, err := t.files.measure(ctx, t.key(name))
	if err != nil {
		return manifestOutput{}, err
	}
	j := judgement{contentType: typeOf(name)}
	if u, err := readAddress(o.URL); err == nil {
		if c, ok := storedCoding(name, u.Path); ok {
			j = judgement{contentType: c.contentType, coding: c.name}
		}
	}
	e := t.describe(n, o, name, j, m)
	before, ok := t.previous.find(n, e.Key)
	if !ok {
		return e, nil
	}
	before.Error = ""
	if before.SHA256 != e.SHA256 {
		// The old entry stays in the manifest, or the next attempt would vouch for the damaged
		// file.
		return before, &fault{
			err:   fmt.Errorf("%s is not what its manifest says: move it away to have it downloaded again", e.Key),
			short: "changed",
			final: true,
		}
	}
	return before, nil
}
