package config

import (
	"time"

	"github.com/hookspan/hookspan/consumers/exec"
)

const KindExec = "exec"

var execKind = kind{
	keys:     []string{"command", "env"},
	defaults: fillExecDefaults,
	check:    checkExec,
	Does:     func(_ *Config, cons ConsumerConfig) string { return "runs " + cons.Command[0] },
}

// defaultExecEnv are the variables of the bridge that commands get when the file
// says nothing of them. None of them holds a secret.
var defaultExecEnv = []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ"}

func fillExecDefaults(_ *Config, cons *ConsumerConfig) {
	if cons.Env == nil {
		cons.Env = defaultExecEnv
	}
	if cons.Concurrency == 0 {
		cons.Concurrency = 2
	}
	if cons.Timeout == 0 {
		cons.Timeout = duration(2 * time.Minute)
	}
}

func checkExec(_ *Config, found *Checker, key string, cons ConsumerConfig) {
	found.Check(key+".command", exec.CheckCommand(cons.Command))
	if cons.Concurrency > exec.MaxConcurrency {
		found.Fail(key+".concurrency", "it is %d: use at most %d, each command takes a thread of the bridge", cons.Concurrency, exec.MaxConcurrency)
	}
	for _, name := range cons.Env {
		found.Check(key+".env", exec.CheckEnv(name))
	}
}
