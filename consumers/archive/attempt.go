package archive

import (
	"context"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

// attempt is one run of [Archive.Handle], used by its goroutine only.
type attempt struct {
	*Archive
	ev      *bridge.Event
	outputs []bridge.Output

	// folder is the folder of this event; previous is the manifest there, nil without one.
	folder   string
	previous *manifest
	// stored holds the names of the outputs that earlier attempts stored, by number.
	stored map[int]string

	// end is when the provider deletes the outputs, zero when nobody knows.
	end time.Time
	// missing is how many outputs are not stored, after how long their hosts want to be left
	// alone.
	missing int
	after   time.Duration
	// late judges outputs that may come late; soon is within what time they are asked for again,
	// 0 for none.
	late lateness
	soon time.Duration
}

// run has the order that makes a crash harmless: claim the folder, store the outputs, write the
// manifest, publish.
func (t *attempt) run(ctx context.Context) error {
	if err := t.space.ready(ctx); err != nil {
		return err
	}
	if err := t.findFolder(ctx); err != nil {
		return err
	}
	if t.previous != nil && !t.previous.failed() {
		consumers.Note(ctx, "archived before")
		t.missing = 0
		// A killed attempt may have done neither of the two.
		if err := t.files.sync(t.folder); err != nil {
			return err
		}
		return t.announce(ctx, t.previous)
	}
	if err := t.sweep(ctx); err != nil {
		return err
	}
	outputs, faults, err := t.storeOutputs(ctx)
	if err != nil {
		return err
	}
	if err := t.files.sync(t.folder); err != nil { // the names of the outputs
		return err
	}
	t.missing, t.after, t.soon = len(faults), longestAfter(faults), t.late.next(faults)
	consumers.Note(ctx, summary(outputs, faults))
	if allFinal(faults) {
		m := newManifest(t.ev, outputs)
		if err := t.saveManifest(ctx, m); err != nil {
			return err
		}
		if err := t.announce(ctx, m); err != nil {
			return err
		}
	}
	return verdict(faults, len(outputs))
}

func (t *attempt) key(name string) string { return t.folder + "/" + name }

// sweep removes what an attempt that was killed was writing, and finds what
// earlier attempts have stored. What another process is writing stays.
func (t *attempt) sweep(ctx context.Context) error {
	names, err := t.files.names(ctx, t.folder)
	if err != nil {
		return err
	}
	t.stored = make(map[int]string)
	for _, name := range names {
		leftover := temporaryName.MatchString(name)
		n, isOutput := outputNumber(name)
		_, isListed := t.previous.find(n, t.key(name))
		switch {
		// Earlier versions gave whole outputs the extension part, too; the manifest lists them.
		case isOutput && (isListed || !leftover):
			t.stored[n] = name
		case leftover:
			removed, err := t.files.remove(ctx, t.key(name))
			if err != nil {
				return err
			}
			t.space.removed(removed)
		}
	}
	return nil
}

func (t *attempt) saveManifest(ctx context.Context, m *manifest) error {
	data, err := m.encode()
	if err != nil {
		return err
	}
	return t.save(ctx, file{t.key(manifestName), typeOf(manifestName)}, true, data)
}

func (t *attempt) save(ctx context.Context, f file, replace bool, data []byte) error {
	g, err := t.space.grantWait(ctx, int64(len(data)))
	if err != nil {
		return err
	}
	defer g.release()
	if err := t.files.put(ctx, f, replace, data); err != nil {
		return err
	}
	t.space.stored(int64(len(data)))
	return nil
}
