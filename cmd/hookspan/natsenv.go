package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/hookspan/hookspan/bridge/queue"
)

type natsEnvCmd struct {
	configFlag
	Consumer string `placeholder:"NAME" help:"The user of one pull consumer, which may read it and nothing else."`
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
	user := queue.AppUser
	if c.Consumer != "" {
		if !slices.Contains(cfg.pulled(), c.Consumer) {
			return fmt.Errorf("there is no consumer %.40q of kind pull in the configuration: choose one of %v", c.Consumer, cfg.pulled())
		}
		user = queue.PullUser(c.Consumer)
	}
	holder, err := queue.ReadHolder(cfg.DataDir)
	if err != nil {
		return err
	}
	if holder.NATSURL == "" {
		return errors.New("the embedded NATS does not listen, or not yet: see nats.listen")
	}
	password, err := queue.ReadSecret(cfg.DataDir, user)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the bridge that runs has no user %s yet: restart it", user)
	}
	if err != nil {
		return err
	}
	vars := [][2]string{{"NATS_URL", holder.NATSURL}, {"NATS_USER", user}, {"NATS_PASSWORD", password}}
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
