package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/needs"
)

// recipePrograms are what a recipe needs beside Go.
var recipePrograms = map[string][]string{
	"chat.md":          {"python3"},
	"fan-out.md":       {"python3"},
	"handlers.md":      {"python3", "node", "npm"},
	"late-consumer.md": {},
	"own-nats.md":      {"openssl"},
	"rotate.md":        {"openssl", "curl"},
	"polling.md":       {"python3"},
	"postgresql.md":    {"psql"},
	"thumbnails.md":    {},
}

// Every program and command of a recipe does what the page says. The files and the commands are
// those of the page. They run before the tests that share the machine.
func TestRecipes(t *testing.T) {
	needs.Programs(t, "bash")
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "recipes", "*.md"))
	require.NoError(t, err)
	require.Len(t, pages, len(recipePrograms)+1)
	for name, programs := range recipePrograms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needs.Programs(t, programs...)
			var environment []string
			switch name {
			case "handlers.md":
				needs.Python(t, "flask")
			case "postgresql.md":
				environment = append(environment, "DATABASE_URL="+startPostgres(t))
			}
			transcribe(t, filepath.Join("..", "..", "docs", "recipes", name), environment...)
		})
	}
}

// A recipe is read in a few minutes, and the list of recipes has it.
func TestRecipesAreShort(t *testing.T) {
	t.Parallel()
	folder := filepath.Join("..", "..", "docs", "recipes")
	list, err := os.ReadFile(filepath.Join(folder, "README.md"))
	require.NoError(t, err)
	for name := range recipePrograms {
		text, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		require.LessOrEqual(t, strings.Count(string(text), "\n"), 170, name)
		require.Contains(t, string(list), "]("+name+")")
	}
}

// startPostgres starts a PostgreSQL of Debian's on a socket in a folder of its own, ends it with
// the test, and returns how a client reaches it.
func startPostgres(t *testing.T) string {
	t.Helper()
	servers, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	require.NoError(t, err)
	server := "/usr/lib/postgresql/15/bin/postgres" // of which a test says that it is missing
	if len(servers) > 0 {
		server = servers[len(servers)-1]
	}
	needs.Programs(t, server)
	dir, err := os.MkdirTemp("", "postgres") // its path is short enough for a socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	attributes := &syscall.SysProcAttr{}
	if os.Geteuid() == 0 { // as which PostgreSQL does not run
		as, err := user.Lookup("postgres")
		require.NoError(t, err)
		uid, err := strconv.ParseUint(as.Uid, 10, 32)
		require.NoError(t, err)
		gid, err := strconv.ParseUint(as.Gid, 10, 32)
		require.NoError(t, err)
		require.NoError(t, os.Chown(dir, int(uid), int(gid)))
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	run := func(program string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(filepath.Dir(server), program), args...)
		cmd.Dir, cmd.SysProcAttr = dir, attributes
		return cmd
	}
	data := filepath.Join(dir, "data")
	out, err := run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale").CombinedOutput()
	require.NoError(t, err, "%s", out)
	var log safeBuffer
	cmd := run("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=")
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // by which it does not wait for its clients
		_ = cmd.Wait()
	})
	url := fmt.Sprintf("host=%s user=postgres dbname=postgres", dir)
	require.Eventually(t, func() bool { return exec.Command("psql", "-q", url, "-c", "select 1").Run() == nil }, patience, 20*time.Millisecond, &log)
	return url
}
