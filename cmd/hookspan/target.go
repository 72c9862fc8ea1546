package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
)

// bridgeFlag says which bridge of this machine is meant: that of a configuration, else
// that of the current folder.
type bridgeFlag struct {
	File string `name:"config" short:"c" env:"HOOKSPAN_CONFIG" placeholder:"FILE" help:"The configuration of the bridge that is meant."`
}

// site is where a bridge keeps its data, and the configuration that says so; without
// one it is the default folder. The zero site is none.
type site struct {
	dir, file string
	// named: --config names the file, so only a bridge that runs with it is meant.
	named bool
	// guessed: data_dir in the named file is relative or absent, so the bridge may have
	// another folder.
	guessed bool
}

func (p site) String() string {
	if p.file == "" {
		return p.dir
	}
	return p.dir + " of " + p.file
}

// choose returns the site that is meant, the zero site when neither a configuration
// nor the current folder names one. Of several the only one whose bridge runs is meant;
// else it asks, and without a terminal that is wrong use, and the error names them.
func (f bridgeFlag) choose(e *env) (site, error) {
	sites, err := f.sites()
	if err != nil || len(sites) == 0 {
		return site{}, err
	}
	used := slices.DeleteFunc(slices.Clone(sites), func(p site) bool { return !isDataFolder(p.dir) })
	switch len(used) {
	case 0:
		return sites[0], nil // whoever needs a bridge there says that none runs
	case 1:
		return used[0], nil
	}
	var list []error
	var running []site
	for i, p := range used {
		holder, err := app.ReadHolder(p.dir)
		how := "does not run"
		if !errors.Is(err, app.ErrNotRunning) { // of a lock that cannot be read nobody knows
			running = append(running, p)
			how = strings.TrimSpace("runs " + holder.AdminURL)
		}
		list = append(list, fmt.Errorf("  %d  %s: %s", i+1, p, how))
	}
	if len(running) == 1 {
		return running[0], nil
	}
	if !e.terminal {
		return site{}, &usageError{errors.Join(append([]error{errors.New("this folder names several bridges: say which with --config or --api, of these")}, list...)...)}
	}
	answer, err := e.ask(fmt.Sprintf("This folder names several bridges:\n%v\nWhich one? ", errors.Join(list...)))
	if err != nil {
		return site{}, err
	}
	n, err := strconv.Atoi(answer)
	if err != nil || n < 1 || n > len(used) {
		return site{}, &usageError{fmt.Errorf("%q is none of them: nothing was done", answer)}
	}
	return used[n-1], nil
}

// sites are those that the configuration names, or without one the current folder: it
// may be a data folder, have the default one in it, or have configurations in it that
// name one.
func (f bridgeFlag) sites() ([]site, error) {
	if f.File != "" {
		p, err := siteOf(f.File)
		return []site{p}, err
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("looking for the bridge of this folder: %w", err)
	}
	if isDataFolder(here) {
		return []site{{dir: here}}, nil
	}
	var found []site
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		files, _ := filepath.Glob(pattern) // the pattern is none that cannot be read
		for _, file := range files {
			dir, err := config.DataDirOf(file)
			own := slices.Contains(ownFiles, file)
			if !own && (err != nil || dir == "") {
				continue // it belongs to something else, or says nothing of a folder
			}
			if err != nil {
				return nil, fmt.Errorf("looking for the bridge of this folder: %w: put the file right, or name the bridge with --api", err)
			}
			dir = config.Absolute(cmp.Or(dir, config.DefaultDataDir))
			if !slices.ContainsFunc(found, func(p site) bool { return p.dir == dir }) {
				found = append(found, site{dir: dir, file: file})
			}
		}
	}
	standard := filepath.Join(here, filepath.Base(config.DefaultDataDir))
	if isDataFolder(standard) && !slices.ContainsFunc(found, func(p site) bool { return p.dir == standard }) {
		found = append(found, site{dir: standard})
	}
	return found, nil
}

// siteOf returns the site of the configuration that --config names. A relative data_dir
// counts from the folder in which the bridge was started, which the file does not say:
// that is taken for the current one, unless the bridge of this file runs on the data
// folder beside the file.
func siteOf(file string) (site, error) {
	dir, err := config.DataDirOf(file)
	if err != nil {
		return site{}, err
	}
	if filepath.IsAbs(dir) {
		return site{dir: filepath.Clean(dir), file: file, named: true}, nil
	}
	dir = cmp.Or(dir, config.DefaultDataDir)
	p := site{dir: config.Absolute(dir), file: file, named: true, guessed: true}
	if beside := filepath.Join(filepath.Dir(config.Absolute(file)), dir); beside != p.dir {
		if holder, err := app.ReadHolder(beside); err == nil && sameFile(holder.Config, file) {
			p.dir = beside
		}
	}
	return p, nil
}

// ownFiles are the names under which a file is no other program's: one that cannot be
// read is an error, and one without data_dir names the default folder.
var ownFiles = []string{"hookspan.yaml", "hookspan.yml"}

// sameFile reports whether two paths, of which the first is absolute or "", lead to one
// file.
func sameFile(a, b string) bool {
	if a == config.Absolute(b) {
		return true
	}
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

func isDataFolder(dir string) bool {
	for _, name := range []string{"lock", "format"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

const (
	// startPatience is how long a bridge is waited for that has begun and is not ready:
	// its start reads what is stored.
	startPatience = 15 * time.Second
	holderEvery   = 20 * time.Millisecond
	// rewritePatience is how long the addresses of a process that is gone are not
	// believed: its successor writes its own over them at once. A process that is not
	// to be seen from here, as in another container, has more time.
	rewritePatience = 200 * time.Millisecond
)

// await says who serves on the site, as [awaitHolder] does. A bridge that runs with
// another configuration than --config names is an error, and so is a folder that is only
// guessed and that nobody has: both say how to name the bridge.
func (p site) await(ctx context.Context, absent time.Duration) (app.Holder, error) {
	holder, err := awaitHolder(ctx, p.dir, absent)
	remedy := "name the bridge with --api"
	if p.guessed {
		remedy = "its data_dir is relative or absent, so it counts from the folder in which its bridge was started: run the verb there, make data_dir absolute, or " + remedy
	}
	switch {
	case p.guessed && errors.Is(err, app.ErrNotRunning):
		return holder, fmt.Errorf("the bridge of %s is not found: %w; %s", config.Absolute(p.file), err, remedy)
	case err == nil && p.named && !sameFile(holder.Config, p.file):
		return app.Holder{}, fmt.Errorf("the bridge on %s runs with %s, and --config names %s: nothing was asked; %s",
			p.dir, cmp.Or(holder.Config, "no configuration"), config.Absolute(p.file), remedy)
	}
	return holder, err
}

// awaitHolder says who serves on a data folder. A process that has the folder and does
// not serve yet is waited for, a folder that nobody has for at most absent; the error
// wraps [ErrNotRunning] then.
func awaitHolder(ctx context.Context, dir string, absent time.Duration) (app.Holder, error) {
	began := time.Now()
	tick := time.NewTicker(holderEvery)
	defer tick.Stop()
	for {
		holder, err := app.ReadHolder(dir)
		waited := time.Since(began)
		switch {
		case err == nil && holder.Ready && (waited >= rewritePatience || syscall.Kill(holder.PID, 0) == nil):
			return holder, nil
		case errors.Is(err, app.ErrNotRunning) && waited >= absent, err != nil && waited >= startPatience:
			return app.Holder{}, err
		case waited >= startPatience:
			return app.Holder{}, fmt.Errorf("process %d has %s and does not serve yet: try again once it says that it is ready, and see its log", holder.PID, dir)
		}
		select {
		case <-ctx.Done():
			return app.Holder{}, ctx.Err()
		case <-tick.C:
		}
	}
}
