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

// bridgeFlag selects a bridge of this machine: that of a configuration, else that of the current
// folder.
type bridgeFlag struct {
	File string `name:"config" short:"c" env:"HOOKSPAN_CONFIG" placeholder:"FILE" help:"The configuration of the bridge that is meant."`
}

// configFlag names the configuration of a verb that needs no bridge.
type configFlag struct {
	File string `name:"config" short:"c" env:"HOOKSPAN_CONFIG" placeholder:"FILE" help:"The configuration, one YAML file (default: hookspan.yaml or hookspan.yml in the current folder; without any everything has its default)."`
}

// load reads the configuration that is meant, and returns its file.
func (f configFlag) load() (cfg *config.Config, file string, err error) {
	if file, err = f.file(); err != nil {
		return nil, "", err
	}
	cfg, err = config.Load(file)
	return cfg, file, err
}

// file returns the configuration that is meant: one of the current folder is never passed over.
// Empty is the default configuration.
func (f configFlag) file() (string, error) {
	if f.File != "" {
		return f.File, nil
	}
	var found []string
	for _, name := range ownFiles {
		if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) { // what cannot be read is an error later
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	default:
		return "", &usageError{fmt.Errorf("this folder has %s: say with --config which of them is meant", strings.Join(found, " and "))}
	}
}

// site is the data folder of a bridge, with the configuration that names it; without a file the
// folder is the default one. The zero site is none.
type site struct {
	dir, file string
	// named: --config names the file, so only a bridge that runs with it counts.
	named bool
	// guessed: data_dir in the named file is relative or absent, so the bridge may have
	// another folder.
	guessed bool
	// instead is the flag that names an address; empty is --api.
	instead string
}

func (p site) String() string {
	if p.file == "" {
		return p.dir
	}
	return p.dir + " of " + p.file
}

// choose returns the selected site, the zero site when neither a configuration nor the current
// folder names one. Of several sites it takes the only one whose bridge runs; else it asks at
// the terminal. Without a terminal that is wrong use, and the error names them.
func (f bridgeFlag) choose(e *env) (site, error) {
	sites, err := f.sites()
	if err != nil || len(sites) == 0 {
		return site{}, err
	}
	used := slices.DeleteFunc(slices.Clone(sites), func(p site) bool { return !isDataFolder(p.dir) })
	switch len(used) {
	case 0:
		return sites[0], nil // a verb that needs a bridge says later that none runs
	case 1:
		return used[0], nil
	}
	var list []error
	var running []site
	for i, p := range used {
		holder, err := app.ReadHolder(p.dir)
		how := "does not run"
		if !errors.Is(err, app.ErrNotRunning) { // an unreadable lock may be that of a bridge
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

// sites are those of the configuration, or without one of the current folder: the folder may be
// a data folder, have the default one in it, or hold configurations that name one.
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
		files, _ := filepath.Glob(pattern) // fails for bad patterns only
		for _, file := range files {
			dir, err := config.DataDirOf(file)
			own := slices.Contains(ownFiles, file)
			if !own && (err != nil || dir == "") {
				continue // not a configuration, or without data_dir
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

// siteOf returns the site of the configuration that --config names. A relative data_dir begins
// in the folder in which the bridge was started, which the file does not tell: siteOf takes the
// current one, unless the bridge of this file runs on the data folder beside the file.
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

// ownFiles are file names that no other program uses: an unreadable one is an error, and one
// without data_dir names the default folder.
var ownFiles = []string{"hookspan.yaml", "hookspan.yml"}

// sameFile reports whether two paths, the first absolute or "", lead to one file.
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
	// startPatience is how long a verb waits for a bridge that has begun and is not ready: its
	// start reads what is stored.
	startPatience = 15 * time.Second
	holderEvery   = 20 * time.Millisecond
	// rewritePatience is how long the addresses of a dead process are ignored, since its
	// successor replaces them at once. A process that cannot be seen from here, as in another
	// container, has more time.
	rewritePatience = 200 * time.Millisecond
)

// await returns the holder of the site, as [awaitHolder] does. A bridge that runs with another
// configuration than --config names is an error, and so is a guessed folder without a bridge:
// both say how to name the bridge.
func (p site) await(ctx context.Context, absent time.Duration) (app.Holder, error) {
	holder, err := awaitHolder(ctx, p.dir, absent)
	remedy := "name the bridge with " + cmp.Or(p.instead, "--api")
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

// awaitHolder returns the process that serves on a data folder. It waits for a process that has
// the folder and does not serve yet, and at most absent for a folder without one; the error
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
