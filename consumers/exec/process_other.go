//go:build unix && !linux

package exec

import (
	osexec "os/exec"
	"syscall"
)

// sysProcAttr gives the command a session, and with it a process group, of its own.
// These systems do not kill it with this process.
func sysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// awaitExit returns when the command was waited for: these systems share no way to
// only look. The number of its group may be another's by then, which takes that many
// new processes in an instant.
func awaitExit(cmd *osexec.Cmd) { _ = cmd.Wait() }
