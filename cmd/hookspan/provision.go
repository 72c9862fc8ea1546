package main

import (
	"github.com/hookspan/hookspan/bridge/app"
)

type provisionCmd struct {
	configFlag
}

func (c *provisionCmd) Run(e *env) error {
	cfg, file, err := c.load()
	if err != nil {
		return err
	}
	done, err := app.Provision(e.ctx, cfg, app.Options{File: file, Getenv: e.getenv, Log: e.stderr})
	if err != nil {
		return err
	}
	return e.print(done, func(out *printer) {
		for _, p := range done.Streams {
			out.printf("stream %s\n", p)
		}
		for _, p := range done.Consumers {
			out.printf("consumer %s\n", p)
		}
		if len(done.Streams)+len(done.Consumers) == 0 {
			out.printf("everything is as it is to be\n")
		}
	})
}
