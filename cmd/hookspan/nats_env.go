package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
)

type natsEnvCmd struct {
	bridgeFlag
	Consumer string `placeholder:"NAME" help:"The user of one pull consumer, which may read it and nothing else."`
}

// appearPatience is how long a verb waits for a bridge whose process may just have begun.
const appearPatience = time.Second

// Run prints the address and the user for other programs. It reads the data folder, so it must
// run on the machine of the bridge, as its user. It waits for a bridge that begins, since only
// the bridge knows its address.
func (c *natsEnvCmd) Run(e *env) error {
	meant, err := c.choose(e)
	if err != nil {
		return err
	}
	if holder, err := app.ReadHolder(meant.dir); meant.file == "" && err == nil {
		meant.file = holder.Config // the folder alone does not tell it
	}
	cfg, err := config.Load(meant.file)
	if err != nil {
		return err
	}
	meant.dir = cmp.Or(meant.dir, cfg.DataDir)
	if cfg.NATS.External() {
		return errors.New("nats.url is set, so events are in an external NATS: ask its operator for an account")
	}
	if c.Consumer != "" && !slices.Contains(cfg.Pulled(), c.Consumer) {
		return fmt.Errorf("there is no consumer %.40q of kind pull in the configuration: choose one of %v", c.Consumer, cfg.Pulled())
	}
	user := app.NATSUser(c.Consumer)
	holder, err := meant.await(e.ctx, appearPatience)
	if err != nil {
		return err
	}
	if holder.NATSURL == "" {
		return errors.New("the embedded NATS of this bridge does not listen: see nats.listen and nats.url of the configuration that it runs with")
	}
	password, err := app.NATSPassword(meant.dir, user)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the bridge that runs has no user %s yet: restart it", user)
	}
	if err != nil {
		return err
	}
	vars := map[string]string{"NATS_URL": holder.NATSURL, "NATS_USER": user, "NATS_PASSWORD": password}
	return e.print(vars, func(out *printer) {
		for _, name := range []string{"NATS_URL", "NATS_USER", "NATS_PASSWORD"} {
			out.printf("export %s='%s'\n", name, vars[name]) // none of the values can hold a quote
		}
	})
}
