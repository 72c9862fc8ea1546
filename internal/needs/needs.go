// Package needs skips tests that need more than the machine has, and names what is missing.
// Where the variable CI is set such a test is not skipped, and fails.
package needs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Programs skips t unless all the programs are in PATH.
func Programs(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			missing(t, "this test needs "+name)
		}
	}
}

// Python skips t unless python3 is in PATH and has the module.
func Python(t testing.TB, module string) {
	t.Helper()
	Programs(t, "python3")
	if exec.Command("python3", "-c", "import "+module).Run() != nil { //nolint:noctx // it ends by itself
		missing(t, "this test needs the module "+module+" of Python")
	}
}

// Root skips t unless the user may mount disks.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "this test mounts a disk, for which it needs root")
	}
}

// listFile names the variable with the file to which each skipped test adds a line, which make
// test prints at its end. Each run has another file, so that skipped tests are not taken from
// go test's cache.
const listFile = "HOOKSPAN_TEST_SKIPPED"

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" { //nolint:forbidigo // no caller could pass it to a test
		return
	}
	if path := os.Getenv(listFile); path != "" { //nolint:forbidigo // as above
		list, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(list, "%s: %s\n", t.Name(), what)
		if err := errors.Join(err, list.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Skip(what) //nolint:forbidigo // only outside CI, and make test lists it
}
