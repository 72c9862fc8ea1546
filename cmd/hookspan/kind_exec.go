package main

import (
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/exec"
)

const kindExec = "exec"

var execKind = kind{
	keys:     []string{"command", "env"},
	defaults: fillExecDefaults,
	check:    checkExec,
	does:     func(_ *config, cons consumerConfig) string { return "runs " + cons.Command[0] },
	lacks:    execLacks,
	handler:  newExec,
}

// defaultExecEnv are the variables of the bridge that commands get when the file
// says nothing of them. None of them holds a secret.
var defaultExecEnv = []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ"}

func fillExecDefaults(_ *config, cons *consumerConfig) {
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

func checkExec(_ *config, found *checker, key string, cons consumerConfig) {
	found.check(key+".command", exec.CheckCommand(cons.Command))
	if cons.Concurrency > exec.MaxConcurrency {
		found.fail(key+".concurrency", "it is %d: use at most %d, each command takes a thread of the bridge", cons.Concurrency, exec.MaxConcurrency)
	}
	for _, name := range cons.Env {
		found.check(key+".env", exec.CheckEnv(name))
	}
}

func newExec(p *parts, name string, c consumerConfig) (consumers.Handler, error) {
	var env []string
	for _, variable := range c.Env {
		if value, ok := p.getenv(variable); ok {
			env = append(env, variable+"="+value)
		}
	}
	return exec.New(exec.Config{
		Command: c.Command, Env: env, Dir: filepath.Join(p.cfg.DataDir, "exec", name),
		Name: name, Alarms: p.store.alarms, Logger: p.log.Named("exec").With(zap.String("consumer", name)),
	})
}
