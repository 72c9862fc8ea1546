package app

import (
	"path/filepath"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/exec"
)

// execFolder has the working folders of commands, in the data folder.
const execFolder = "exec"

func newExec(a *App, name string, c *config.Exec) (consumers.Handler, error) {
	var env []string
	for _, variable := range c.Env {
		if value, ok := a.getenv(variable); ok {
			env = append(env, variable+"="+value)
		}
	}
	return exec.New(exec.Config{
		Command: c.Command, Env: env, Dir: filepath.Join(a.cfg.DataDir, execFolder, name),
		Name: name, Alarms: a.store.alarms, Logger: telemetry.Slog(a.log.Named("exec")).With("consumer", name),
	})
}

func execLacks(l *lacking, key string, c *config.Exec) {
	l.Check(key+".command", exec.CheckInstalled(c.Command))
}
