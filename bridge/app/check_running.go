package app

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/hookspan/hookspan/bridge/config"
)

// Warnings returns what keeps serve from starting on this machine as long as another process
// runs: the data folder or an address is taken. File is that of the configuration, "" for none.
func Warnings(cfg *config.Config, file string) []config.Problem {
	var found config.Checker
	holder, err := ReadHolder(cfg.DataDir)
	if !errors.Is(err, ErrNotRunning) {
		if file != "" {
			file = config.Absolute(file)
		}
		if err == nil && holder.Config != file {
			found.Fail("data_dir", "process %d has the data folder %s and runs with %s: a second bridge would not start there", holder.PID, cfg.DataDir, cmp.Or(holder.Config, "no configuration"))
		}
		return found // that process has the addresses too
	}
	for _, at := range cfg.Listeners() {
		if at.Standard {
			continue // another port is used
		}
		l, err := net.Listen("tcp", at.Address)
		if errors.Is(err, syscall.EADDRINUSE) {
			found.Check(at.Key, fmt.Errorf("%w: free that address or choose another one with %s, unless systemd holds it for the bridge", err, at.Key))
		} else if err == nil {
			_ = l.Close()
		}
	}
	return found
}
