package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// postgresUser is who runs the server where this program is root, as which PostgreSQL does
// not start.
const postgresUser = "postgres"

// postgres is a PostgreSQL server of Debian's with a folder of its own. Its settings are
// the default, but it listens on a socket in that folder alone.
type postgres struct {
	bin, data string
	as        *syscall.Credential
}

// postgresVersion is the newest version that is installed, or empty.
func postgresVersion() string {
	servers, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	rig.Check(err)
	if len(servers) == 0 {
		return ""
	}
	version := func(server string) string { return filepath.Base(filepath.Dir(filepath.Dir(server))) }
	return version(slices.MaxFunc(servers, func(a, b string) int {
		m, _ := strconv.Atoi(version(a)) // 0 for none
		n, _ := strconv.Atoi(version(b))
		return cmp.Compare(m, n)
	}))
}

// missingPostgres says why there is no PostgreSQL to compare with, or is empty.
func missingPostgres() string {
	if postgresVersion() == "" {
		return "PostgreSQL is not installed: apt-get install postgresql"
	}
	return ""
}

// postgres returns a server's folder, nil where there is no PostgreSQL.
func (b *bench) postgres(r *rig.Rig) *postgres {
	if b.noPostgres != "" {
		return nil
	}
	return newPostgres(r)
}

// newPostgres makes a folder of databases that lasts as long as the rig. The server is not
// started yet.
func newPostgres(r *rig.Rig) *postgres {
	p := &postgres{bin: filepath.Join("/usr/lib/postgresql", postgresVersion(), "bin"), data: r.Path("postgres")}
	rig.Check(os.Mkdir(p.data, 0o700))
	if os.Geteuid() == 0 {
		u := rig.Must(user.Lookup(postgresUser))
		uid, gid := rig.Must(strconv.Atoi(u.Uid)), rig.Must(strconv.Atoi(u.Gid))
		p.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		rig.Check(os.Chown(p.data, uid, gid))
		// That user must get through the rig's own folders.
		for dir := r.Dir; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
			rig.Check(os.Chmod(dir, 0o711))
		}
	}
	cmd := exec.CommandContext(r.Context(), filepath.Join(p.bin, "initdb"), "-D", p.data, "-U", postgresUser, "-A", "trust", "-E", "UTF8", "--no-locale")
	cmd.Dir, cmd.SysProcAttr = p.data, &syscall.SysProcAttr{Credential: p.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		rig.Check(fmt.Errorf("making a folder for PostgreSQL: %w (user %s must reach %s)\n%s", err, postgresUser, p.data, out))
	}
	return p
}

// start returns when the server answers, and which one ends with the rig.
func (p *postgres) start(r *rig.Rig) *rig.Process {
	server := r.Start(rig.Command{
		Name: "postgres", As: p.as, // the shell says for it that it is ready
		Args: []string{
			"/bin/sh", "-c", `cd "$1" && echo "{\"pid\": $$}" && exec "$0" -D "$1" -k "$1" -c listen_addresses=`,
			filepath.Join(p.bin, "postgres"), p.data,
		},
	})
	r.OnClose(func() error {
		if !server.Alive() {
			return nil
		}
		// The signal by which it does not wait for its clients.
		if err := server.Signal(syscall.SIGINT); err != nil {
			return err
		}
		_, err := server.Stop()
		return err
	})
	err := r.Until("PostgreSQL answers", patience, 10*time.Millisecond, func(ctx context.Context) bool {
		conn, err := pgx.Connect(ctx, p.url())
		return err == nil && conn.Close(ctx) == nil || !server.Alive()
	})
	if err == nil && !server.Alive() {
		err = errors.New("PostgreSQL does not start")
	}
	if err != nil {
		rig.Check(server.Explain(err))
	}
	return server
}

// url is where a client of PostgreSQL finds the server.
func (p *postgres) url() string {
	return fmt.Sprintf("host=%s user=%s dbname=postgres", p.data, postgresUser)
}
