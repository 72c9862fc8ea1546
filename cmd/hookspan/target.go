package main

import (
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

	"github.com/goccy/go-yaml"

	"github.com/hookspan/hookspan/bridge/queue"
)

// bridgeFlag says which bridge of this machine is meant: that of a configuration, else
// that of the current folder.
type bridgeFlag struct {
	File string `name:"config" short:"c" env:"HOOKSPAN_CONFIG" placeholder:"FILE" help:"The configuration of the bridge that is meant."`
}

// site is where a bridge keeps its data, and the configuration that says so; without
// one it is the default folder. The zero site is none.
type site struct{ dir, file string }

func (p site) String() string {
	if p.file == "" {
		return p.dir
	}
	return p.dir + " of " + p.file
}

// choose returns the site that is meant, the zero site when neither a configuration
// nor the current folder names one. With several to choose from it asks; without a
// terminal that is wrong use, and the error names them.
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
	for i, p := range used {
		holder, err := queue.ReadHolder(p.dir)
		how := "does not run"
		if err == nil {
			how = strings.TrimSpace("runs " + holder.AdminURL)
		}
		list = append(list, fmt.Errorf("  %d  %s: %s", i+1, p, how))
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
		dir, err := dataDirOf(f.File)
		if err != nil && !errors.Is(err, errNoDataDir) {
			return nil, err
		}
		return []site{{dir, f.File}}, nil
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
			dir, err := dataDirOf(file)
			if errors.Is(err, errNoDataDir) || err != nil && !slices.Contains(ownFiles, file) {
				continue // it belongs to something else, or says nothing of a folder
			}
			if err != nil {
				return nil, fmt.Errorf("looking for the bridge of this folder: %w: put the file right, or name the bridge with --api", err)
			}
			if !slices.ContainsFunc(found, func(p site) bool { return p.dir == dir }) {
				found = append(found, site{dir, file})
			}
		}
	}
	standard := filepath.Join(here, filepath.Base(defaultConfig().DataDir))
	if isDataFolder(standard) && !slices.ContainsFunc(found, func(p site) bool { return p.dir == standard }) {
		found = append(found, site{dir: standard})
	}
	return found, nil
}

// ownFiles are the names under which a file that cannot be read is no other program's.
var ownFiles = []string{"hookspan.yaml", "hookspan.yml"}

// errNoDataDir is that of a file in the current folder that names no data folder.
var errNoDataDir = errors.New("it names no data_dir")

// dataDirOf returns the data folder that a configuration names, and the default one with
// [errNoDataDir] when it names none. It does not look at the rest of the file, which may
// be in the middle of an edit while its bridge runs.
func dataDirOf(file string) (string, error) {
	text, err := readConfig(file)
	if err != nil {
		return "", err
	}
	var named struct {
		DataDir string `yaml:"data_dir"`
	}
	if err := yaml.Unmarshal(text, &named); err != nil {
		return "", (&document{name: file}).explain(err)
	}
	if named.DataDir == "" {
		dir, err := filepath.Abs(defaultConfig().DataDir)
		return dir, errors.Join(err, errNoDataDir)
	}
	return filepath.Abs(named.DataDir)
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

// awaitHolder says who serves on a data folder. A process that has the folder and does
// not serve yet is waited for, a folder that nobody has for at most absent; the error
// wraps [queue.ErrNotRunning] then.
func awaitHolder(ctx context.Context, dir string, absent time.Duration) (queue.Holder, error) {
	began := time.Now()
	tick := time.NewTicker(holderEvery)
	defer tick.Stop()
	for {
		holder, err := queue.ReadHolder(dir)
		waited := time.Since(began)
		switch {
		case err == nil && holder.Ready && (waited >= rewritePatience || syscall.Kill(holder.PID, 0) == nil):
			return holder, nil
		case errors.Is(err, queue.ErrNotRunning) && waited >= absent, err != nil && waited >= startPatience:
			return queue.Holder{}, err
		case waited >= startPatience:
			return queue.Holder{}, fmt.Errorf("process %d has %s and does not serve yet: try again once it says that it is ready, and see its log", holder.PID, dir)
		}
		select {
		case <-ctx.Done():
			return queue.Holder{}, ctx.Err()
		case <-tick.C:
		}
	}
}
