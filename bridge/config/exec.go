package config

import (
	"cmp"
	"time"

	"github.com/hookspan/hookspan/consumers/exec"
)

// KindExec is the kind of an [Exec].
const KindExec = "exec"

// Exec is a consumer that runs one command for each event.
type Exec struct {
	Common   `yaml:",inline"`
	Attempts `yaml:",inline"`

	// Command is an absolute path and arguments, required. No shell reads them, and other
	// users of the machine can see them.
	Command []string `yaml:"command" jsonschema:"required" cut:"first"`
	// Env are the names of variables of the bridge that the command gets too; [] is none.
	// Default PATH, HOME, LANG, LC_ALL and TZ.
	Env []string `yaml:"env"`
}

const (
	defaultExecConcurrency = 2
	defaultExecTimeout     = Duration(2 * time.Minute)
)

// None of these variables holds a secret.
var defaultExecEnv = []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ"}

func (e *Exec) fill(*Config) {
	if e.Env == nil {
		e.Env = defaultExecEnv
	}
	e.Start = cmp.Or(e.Start, "new")
	e.Concurrency = cmp.Or(e.Concurrency, defaultExecConcurrency)
	e.Timeout = cmp.Or(e.Timeout, defaultExecTimeout)
}

func (e *Exec) check(_ *Config, name string, found *Checker) {
	key := "consumers." + name
	e.checkAttempts(key, found)
	found.Check(key+".command", exec.CheckCommand(e.Command))
	if e.Concurrency > exec.MaxConcurrency {
		found.Fail(key+".concurrency", "it is %d: use at most %d, each command takes a thread of the bridge", e.Concurrency, exec.MaxConcurrency)
	}
	for _, variable := range e.Env {
		found.Check(key+".env", exec.CheckEnv(variable))
	}
}

// Does implements [Consumer].
func (e *Exec) Does(*Config) string { return "runs " + e.Command[0] }
