package main

import (
	"runtime"
	"runtime/debug"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

type versionCmd struct{}

func (versionCmd) Run(e *env) error {
	versions := map[string]string{
		"hookspan": version(), "go": runtime.Version(), "nats_server": server.VERSION, "nats_go": nats.Version,
	}
	return e.print(versions, func(out *printer) {
		out.printf("hookspan %s, %s, nats-server %s, nats.go %s\n", version(), runtime.Version(), server.VERSION, nats.Version)
	})
}

// release is set by the linker for a release.
var release string

// version is the release, else the version that the Go toolchain recorded in the build.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
