package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// findFolder finds or makes the folder of the event. Two different events of one prediction
// never share a folder: that of the second lies beside that of the first.
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
		// The name of the second folder holds the event's digest, so its content is of this
		// event, if perhaps in other bytes.
		mine, err := t.takeFolder(ctx, folder != first)
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

// takeFolder makes the folder this event's by storing the body there, and reports whether the
// folder is this event's; an earlier attempt may have stored the body. With sameEvent other
// bytes do not matter: they state the same fact.
func (t *attempt) takeFolder(ctx context.Context, sameEvent bool) (bool, error) {
	body, err := t.storeOnce(ctx, eventName, t.ev.Body)
	if err != nil {
		return false, err
	}
	same := bytes.Equal(body, t.ev.Body)
	if !same && !sameEvent {
		return false, nil
	}
	// The signature is over these bytes.
	if same && t.ev.Signature != "" {
		if _, err := t.storeOnce(ctx, signatureName, []byte(t.ev.Signature)); err != nil {
			return false, err
		}
	}
	return true, t.files.sync(t.folder)
}

// storeOnce stores data under the name unless a file is there, and returns the file's content.
func (t *attempt) storeOnce(ctx context.Context, name string, data []byte) ([]byte, error) {
	key := t.key(name)
	there, err := t.files.get(ctx, key)
	if !errors.Is(err, fs.ErrNotExist) {
		return there, err
	}
	err = t.save(ctx, file{key, typeOf(name)}, false, data)
	if errors.Is(err, errStored) { // by another process meanwhile
		return t.files.get(ctx, key)
	}
	return data, err
}
