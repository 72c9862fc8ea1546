//go:build unix && !linux

package exec

import (
	osexec "os/exec"
	"syscall"
)

// sysProcAttr gives the command a session, and with it a process group, of its own. These
// systems do not kill the command with this process.
func sysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// awaitExit waits for the command: these systems share no way to see its end without that.
// Another group may have its number by then, which takes as many new processes in an instant as
// there are numbers.
func awaitExit(cmd *osexec.Cmd) { _ = cmd.Wait() }
