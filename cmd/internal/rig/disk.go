package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is an ext4 file system in a file, mounted through a loop device, which only root
// can have.
type Disk struct {
	Mount string // where the file system is
	image string
	rig   *Rig
}

// NewDisk makes and mounts a file system of that many bytes.
func (r *Rig) NewDisk(name string, size int64) *Disk {
	d := &Disk{image: r.Path(name + ".img"), Mount: r.Path(name + ".mnt"), rig: r}
	f := Must(os.Create(d.image))
	Check(errors.Join(f.Truncate(size), f.Close(), os.Mkdir(d.Mount, 0o700)))
	// Nothing is reserved for root, so that full is full for everybody.
	Check(run(r.ctx, "mkfs.ext4", "-q", "-F", "-m", "0", d.image))
	r.OnClose(d.unmount)
	d.attach()
	return d
}

// attach mounts the image. The journal is committed by fsync alone, so that the moment of
// a power cut is not one in which the kernel happens to write.
func (d *Disk) attach() { Check(run(d.rig.ctx, "mount", "-o", "loop,commit=300", d.image, d.Mount)) }

// unmount also frees the loop device. Whatever was interrupted, a disk must not stay
// behind.
func (d *Disk) unmount() error {
	var here, above unix.Stat_t
	err := errors.Join(unix.Stat(d.Mount, &here), unix.Stat(d.rig.Dir, &above))
	if err != nil || here.Dev == above.Dev { // it is not mounted
		return err
	}
	ctx := context.WithoutCancel(d.rig.ctx)
	if err = run(ctx, "umount", d.Mount); err != nil {
		err = errors.Join(err, run(ctx, "umount", "--lazy", d.Mount))
	}
	return err
}

// Hang has everything that is written wait while f runs.
func (d *Disk) Hang(f func()) {
	Check(run(d.rig.ctx, "fsfreeze", "--freeze", d.Mount))
	err := Try(f)
	// Also when the experiment was interrupted: nobody could unmount it otherwise.
	Check(errors.Join(err, run(context.WithoutCancel(d.rig.ctx), "fsfreeze", "--unfreeze", d.Mount)))
}

// Fill takes all the space that is left, and returns what gives it back.
func (d *Disk) Fill() (empty func()) {
	ballast := Must(os.CreateTemp(d.Mount, "ballast-"))
	empty = func() { Check(errors.Join(ballast.Close(), os.Remove(ballast.Name()))) }
	at := int64(0)
	for step := int64(256 << 20); step >= 4<<10; {
		switch err := unix.Fallocate(int(ballast.Fd()), 0, at, step); {
		case err == nil:
			at += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		case !errors.Is(err, unix.EINTR):
			Check(fmt.Errorf("filling a disk: %w", err))
		}
	}
	return empty
}

// CutPower leaves on the disk what a power cut would: everything that reached the device,
// and nothing that was only written. The process is stopped, the device copied, and the
// process killed without another word to its disk. Of what was only written to the files of
// a pattern below the disk, any sector may have reached it too.
func (d *Disk) CutPower(p *Process, torn string) {
	Check(p.Signal(syscall.SIGSTOP))
	Check(d.rig.Until("the process is stopped", 10*time.Second, time.Millisecond, func(context.Context) bool { return p.stopped() }))
	cut, rest := time.Now(), d.image+".cut"
	Check(run(d.rig.ctx, "cp", "--sparse=always", d.image, rest))
	written := map[string][]byte{}
	if torn != "" {
		for _, file := range Must(filepath.Glob(filepath.Join(d.Mount, torn))) {
			// What was written before is synced, unless the disk hung for longer.
			if cut.Sub(Must(os.Stat(file)).ModTime()) < unsyncedFor {
				written[file] = Must(os.ReadFile(file))
			}
		}
	}
	p.Kill()
	Check(errors.Join(d.unmount(), os.Rename(rest, d.image)))
	d.attach()
	for file, text := range written {
		tear(file, text)
	}
}

// LoseUnsynced has the files of a pattern below the disk lose whatever was written to them and
// did not reach the device, as Linux drops pages that it failed to write: a sync that comes
// later does not bring them back. It returns how many sectors were lost.
func (d *Disk) LoseUnsynced(pattern string) (lost int) {
	image, mount := d.image+".synced", d.Mount+".synced"
	Check(run(d.rig.ctx, "cp", "--sparse=always", d.image, image))
	Check(errors.Join(os.Mkdir(mount, 0o700), run(d.rig.ctx, "mount", "-o", "loop", image, mount)))
	err := Try(func() {
		for _, file := range Must(filepath.Glob(filepath.Join(d.Mount, pattern))) {
			synced, err := os.ReadFile(filepath.Join(mount, Must(filepath.Rel(d.Mount, file))))
			if errors.Is(err, fs.ErrNotExist) {
				continue // its name was not synced either
			}
			Check(err)
			lost += overwrite(file, synced, func() bool { return false })
		}
	})
	Check(errors.Join(err, run(context.WithoutCancel(d.rig.ctx), "umount", mount), os.Remove(mount), os.Remove(image)))
	return lost
}

// tear writes some of the sectors by which the file differs from the text.
func tear(file string, text []byte) { overwrite(file, text, func() bool { return rand.IntN(2) == 0 }) }

// overwrite changes the file to the text, but for the sectors that keep leaves as they are, and
// returns how many it changed. A file that is not there, or has another size, stays.
func overwrite(file string, text []byte, keep func() bool) (sectors int) {
	old, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || len(old) != len(text) {
		return 0
	}
	Check(err)
	f := Must(os.OpenFile(file, os.O_WRONLY, 0))
	for at := 0; at < len(text); at += sector {
		end := min(at+sector, len(text))
		if !bytes.Equal(old[at:end], text[at:end]) && !keep() {
			Must(f.WriteAt(text[at:end], int64(at)))
			sectors++
		}
	}
	Check(f.Close())
	return sectors
}

// sector is what a disk writes whole or not at all, in bytes.
const sector = 512

// unsyncedFor is how old a write may be that was not synced when the power is cut.
const unsyncedFor = 10 * time.Second

// ReadOnly has the disk refuse everything that is written, or no more.
func (d *Disk) ReadOnly(is bool) {
	mode := map[bool]string{true: "ro", false: "rw"}[is]
	Check(run(d.rig.ctx, "mount", "-o", "remount,"+mode, d.Mount))
}

// run runs a program of the system and returns what it complained of.
func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
