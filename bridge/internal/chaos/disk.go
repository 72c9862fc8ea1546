package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// disk is an ext4 file system in a file, mounted through a loop device.
type disk struct {
	lab   *lab
	image string
	mount string
}

// newDisk makes and mounts a file system of that many bytes.
func (l *lab) newDisk(ctx context.Context, name string, size int64) (*disk, error) {
	d := &disk{lab: l, image: l.path(name + ".img"), mount: l.path(name + ".mnt")}
	f, err := os.Create(d.image)
	if err == nil {
		err = errors.Join(f.Truncate(size), f.Close(), os.Mkdir(d.mount, 0o700))
	}
	if err != nil {
		return nil, fmt.Errorf("making a disk: %w", err)
	}
	// Nothing is reserved for root, so that full is full for everybody.
	if err := command(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", d.image); err != nil {
		return nil, err
	}
	l.onClose(func() error { return d.unmount(ctx) })
	return d, d.attach(ctx)
}

// attach mounts the image. The journal is committed by fsync alone, so that the
// moment of a power cut is not one in which the kernel happens to write.
func (d *disk) attach(ctx context.Context) error {
	return command(ctx, "mount", "-o", "loop,commit=300", d.image, d.mount)
}

// unmount also frees the loop device.
func (d *disk) unmount(ctx context.Context) error {
	if !d.mounted() {
		return nil
	}
	// Whatever was interrupted, a disk must not stay behind.
	ctx = context.WithoutCancel(ctx)
	err := command(ctx, "umount", d.mount)
	if err != nil {
		return errors.Join(err, command(ctx, "umount", "--lazy", d.mount))
	}
	return nil
}

// mounted reports whether another file system than the lab's is there.
func (d *disk) mounted() bool {
	var here, above unix.Stat_t
	return unix.Stat(d.mount, &here) == nil && unix.Stat(d.lab.dir, &above) == nil && here.Dev != above.Dev
}

// freeze has everything that is written wait until thaw.
func (d *disk) freeze(ctx context.Context) error {
	return command(ctx, "fsfreeze", "--freeze", d.mount)
}

// thaw is for a context that has ended too: nobody could unmount it otherwise.
func (d *disk) thaw(ctx context.Context) error {
	return command(context.WithoutCancel(ctx), "fsfreeze", "--unfreeze", d.mount)
}

// fill takes all the space that is left, and returns what gives it back.
func (d *disk) fill() (empty func() error, err error) {
	ballast, err := os.CreateTemp(d.mount, "ballast-")
	if err != nil {
		return nil, fmt.Errorf("filling a disk: %w", err)
	}
	empty = func() error { return errors.Join(ballast.Close(), os.Remove(ballast.Name())) }
	at := int64(0)
	for step := int64(256 << 20); step >= 4<<10; {
		switch err := unix.Fallocate(int(ballast.Fd()), 0, at, step); {
		case err == nil:
			at += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		case !errors.Is(err, unix.EINTR):
			return nil, errors.Join(fmt.Errorf("filling a disk: %w", err), empty())
		}
	}
	return empty, nil
}

// command runs a program of the system and returns what it complained of.
func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
