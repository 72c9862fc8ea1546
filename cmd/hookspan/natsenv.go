package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hookspan/hookspan/bridge/queue"
)

type natsEnvCmd struct {
	configFlag
}

// Run prints the address and the user for other programs. It reads the data
// folder, so it must run on the machine of the bridge, as its user.
func (c *natsEnvCmd) Run(e *env) error {
	cfg, err := load(c.File)
	if err != nil {
		return err
	}
	if cfg.NATS.URL != "" {
		return errors.New("nats.url is set, so events are in an external NATS: ask its operator for an account")
	}
	holder, err := queue.ReadHolder(cfg.DataDir)
	if err != nil {
		return err
	}
	if holder.NATSURL == "" {
		return errors.New("the embedded NATS does not listen, or not yet: see nats.listen")
	}
	password, err := queue.ReadSecret(cfg.DataDir, queue.AppUser)
	if err != nil {
		return err
	}
	vars := [][2]string{{"NATS_URL", holder.NATSURL}, {"NATS_USER", queue.AppUser}, {"NATS_PASSWORD", password}}
	if e.json {
		out := map[string]string{}
		for _, v := range vars {
			out[v[0]] = v[1]
		}
		return json.NewEncoder(e.stdout).Encode(out)
	}
	for _, v := range vars {
		// None of the values can hold a quote.
		if _, err := fmt.Fprintf(e.stdout, "export %s='%s'\n", v[0], v[1]); err != nil {
			return err
		}
	}
	return nil
}
