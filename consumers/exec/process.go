package exec

import (
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/hookspan/hookspan/consumers"
)

// Exit statuses with a meaning of their own, from sysexits.h.
const (
	exitDone    = 0
	exitDataErr = 65
)

type ended struct {
	state *os.ProcessState // nil: unknown
	// told is true when the command was told to end.
	told bool
}

// run runs the command until it ends, or ends it when ctx ends. The error says that the command
// was not started.
func run(ctx context.Context, cmd *osexec.Cmd, killAfter time.Duration) (ended, error) {
	// The command must not outlive this process. Linux kills it when the thread that started it
	// ends, and Go ends a thread whose goroutine ended with the thread locked. So no other
	// goroutine may use the thread until the command has ended.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = sysProcAttr()
	if err := cmd.Start(); err != nil {
		return ended{}, err
	}
	group := -cmd.Process.Pid
	exited, told := make(chan struct{}), make(chan bool, 1)
	go func() { told <- terminate(ctx, group, exited, killAfter) }()
	awaitExit(cmd)
	close(exited)
	e := ended{told: <-told}
	// Processes that are left in the group are killed before the command is waited for: until
	// then no other group can have its number.
	_ = syscall.Kill(group, syscall.SIGKILL)
	// The error repeats the state, or says that the output was held open.
	_ = cmd.Wait()
	e.state = cmd.ProcessState
	return e, nil
}

// terminate ends the group when ctx ends, and reports whether it did.
func terminate(ctx context.Context, group int, exited <-chan struct{}, killAfter time.Duration) bool {
	select {
	case <-exited:
		return false
	case <-ctx.Done():
	}
	_ = syscall.Kill(group, syscall.SIGTERM)
	late := time.NewTimer(killAfter)
	defer late.Stop()
	select {
	case <-exited:
	case <-late.C:
		_ = syscall.Kill(group, syscall.SIGKILL)
	}
	return true
}

// verdict is the whole table from the end of a command to the error of its attempt; said is the
// last line that the command wrote.
func verdict(e ended, said string) error {
	if e.state == nil {
		return fmt.Errorf("the command has ended, and its exit status is unknown")
	}
	how := e.state.String() // "exit status 3", "signal: killed"
	if said != "" {
		how += fmt.Sprintf(": %q", said)
	}
	switch code := e.state.ExitCode(); { // -1 after a signal
	case e.told:
		return fmt.Errorf("the command was told to end: %s", how)
	case code == exitDone:
		return nil
	case code == exitDataErr:
		return consumers.Permanent(fmt.Errorf("the command cannot use this event: %s", how))
	}
	return fmt.Errorf("the command failed: %s", how)
}
