package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// findFolder finds the folder of the event, or makes it. Two different events of
// one prediction never share one: the second goes beside the first.
func (t *attempt) findFolder(ctx context.Context) error {
	first := folderKey(t.ev)
	for _, folder := range []string{first, conflictKey(first, t.ev.ID)} {
		t.folder = folder
		m, err := t.readManifest(ctx)
		if err != nil {
			return err
		}
		if m != nil && m.Event == t.ev.ID {
			t.previous = m
			return nil
		}
		if m != nil {
			continue
		}
		// The name of the second folder holds the event's digest, so what lies
		// there is this event, if perhaps in other bytes.
		mine, err := t.claim(ctx, folder != first)
		if mine || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s holds another event: move it away", t.folder)
}

func (t *attempt) readManifest(ctx context.Context) (*manifest, error) {
	key := t.key(manifestName)
	data, err := t.files.get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	return m, nil
}

// claim makes the folder this event's by storing its body there, and reports
// whether it is. An earlier attempt may have done so. With sameEvent other bytes
// do not matter: the fact that they state is the same.
func (t *attempt) claim(ctx context.Context, sameEvent bool) (bool, error) {
	body, err := t.storeOnce(ctx, eventName, t.ev.Body)
	if err != nil {
		return false, err
	}
	same := bytes.Equal(body, t.ev.Body)
	if !same && !sameEvent {
		return false, nil
	}
	// The signature is that of these bytes.
	if same && t.ev.Signature != "" {
		if _, err := t.storeOnce(ctx, signatureName, []byte(t.ev.Signature)); err != nil {
			return false, err
		}
	}
	return true, t.files.sync(t.folder)
}

// storeOnce stores data under the name unless something is there, and returns
// what is there then.
func (t *attempt) storeOnce(ctx context.Context, name string, data []byte) ([]byte, error) {
	key := t.key(name)
	there, err := t.files.get(ctx, key)
	if !errors.Is(err, fs.ErrNotExist) {
		return there, err
	}
	err = t.save(ctx, file{key, typeOf(name)}, false, data)
	if errors.Is(err, errStored) { // by another process, since we looked
		return t.files.get(ctx, key)
	}
	return data, err
}
