package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"time"
)

const archiveConfig = `data_dir: %q
log: {level: error}
ingress: {listen: "127.0.0.1:%d"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: %d}}
consumers:
  archive: {kind: archive, store: "file://%s", hosts: ["127.0.0.1"], allow_private: true}
`

const (
	archiveBytes = 512 << 20
	outputBytes  = 8 << 10
)

func fullArchive(ctx context.Context, l *lab) error {
	outputs := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(make([]byte, outputBytes))
	}))
	outputs.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	outputs.Start()
	l.onClose(func() error { outputs.Close(); return nil })
	l.writer.outputs = outputs.URL + "/"

	d, err := l.newDisk(ctx, "archive", archiveBytes)
	if err != nil {
		return err
	}
	empty, err := d.fill()
	if err != nil {
		return err
	}
	b, err := l.startBridge(ctx, "bridge", fmt.Sprintf(archiveConfig, l.path("data"), l.port, int64(maxEvents), d.mount))
	if err != nil {
		return err
	}
	l.send(ctx)
	if err := errors.Join(l.reach(ctx, 1), pause(ctx, l.uptime())); err != nil {
		return err
	}
	if n := manifests(d.mount); n > 0 {
		l.wrong("%d predictions are in an archive that had no room", n)
	}
	if refused := l.book.snapshot().refused; len(refused) > 0 {
		l.wrong("webhooks were refused for an archive that is full: %v", refused)
	}
	l.heal()
	if err := errors.Join(empty(), l.settleAndAudit(ctx, b)); err != nil {
		return err
	}
	return l.waitArchived(ctx, d.mount)
}

// waitArchived waits until the archive goes on.
func (l *lab) waitArchived(ctx context.Context, mount string) error {
	begun := l.healed
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for manifests(mount) == 0 {
		if pause(ctx, 100*time.Millisecond) != nil {
			l.wrong("nothing is archived %v after there was room again", patience)
			return nil
		}
	}
	l.note("the archive went on %v after there was room again", time.Since(begun).Round(100*time.Millisecond))
	return nil
}

// manifests counts the predictions in an archive.
func manifests(folder string) (n int) {
	_ = filepath.WalkDir(folder, func(path string, _ fs.DirEntry, _ error) error {
		if filepath.Base(path) == "manifest.json" {
			n++
		}
		return nil
	})
	return n
}
