package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
)

type configCmd struct {
	Check  configCheckCmd  `cmd:"" help:"Say whether the configuration can be used, and if not, what is wrong where."`
	Show   configShowCmd   `cmd:"" help:"Print the configuration as it is used, with defaults and with the place of each value. Secrets are not shown."`
	Schema configSchemaCmd `cmd:"" help:"Print the JSON Schema of the configuration, by which editors complete and check it."`
}

type configSchemaCmd struct{}

func (c *configSchemaCmd) Run(e *env) error {
	_, err := e.stdout.Write(config.Schema())
	return err
}

type configCheckCmd struct {
	configFlag
	rolesFlags
	Path      string `arg:"" optional:"" help:"The file, as an alternative to --config."`
	NoSecrets bool   `help:"Look at the file alone: its secrets, files, folders and addresses are on another machine."`
}

// Run reads the configuration as serve does, looks for what is missing on this machine, and says
// what changes for events that wait.
func (c *configCheckCmd) Run(e *env) error {
	path, err := c.path(c.Path)
	if err != nil {
		return err
	}
	cfg, doc, err := config.LoadDocument(path, c.flags())
	if err != nil {
		return err
	}
	if !c.NoSecrets {
		if err := doc.Join(app.Lacks(e.ctx, cfg, e.getenv)); err != nil {
			return errors.Join(err, errors.New("(--no-secrets checks the file alone, where all of that is on another machine)"))
		}
	}
	warnings := []string{}
	for _, warning := range app.Warnings(cfg, path) {
		if !c.NoSecrets {
			warnings = append(warnings, doc.Join([]config.Problem{warning}).Error())
		}
	}
	if path == "" {
		path = "the default configuration"
	}
	var changed []app.Change
	waiting, err := askWaiting(e, cfg)
	if err == nil {
		changed, err = app.Changes(e.ctx, cfg, waiting)
	}
	if err != nil {
		return fmt.Errorf("%s can be used, but cannot be compared with what runs: %w", path, err)
	}
	if e.json {
		return writeJSON(e.stdout, map[string]any{
			"ok": true, "file": path, "sources": slices.Sorted(maps.Keys(cfg.Sources)), "consumers": slices.Sorted(maps.Keys(cfg.Consumers)), "changes": changed, "warnings": warnings,
		})
	}
	out := &printer{w: e.stdout}
	out.printf("%s can be used: sources %v, consumers %v\n", path, slices.Sorted(maps.Keys(cfg.Sources)), slices.Sorted(maps.Keys(cfg.Consumers)))
	for _, warning := range warnings {
		out.printf("warning: %s\n", warning)
	}
	for _, c := range changed {
		out.printf("changes: %s\n", c.Text)
	}
	return out.err
}

type configShowCmd struct {
	configFlag
	rolesFlags
	Path string `arg:"" optional:"" help:"The file, as an alternative to --config."`
}

// path returns the argument, or what the flag means without one.
func (f configFlag) path(argument string) (string, error) {
	f.File = cmp.Or(argument, f.File)
	return f.file()
}

// Run reads the file alone, and no secret.
func (c *configShowCmd) Run(e *env) error {
	path, err := c.path(c.Path)
	if err != nil {
		return err
	}
	cfg, doc, err := config.LoadDocument(path, c.flags())
	if err != nil {
		return err
	}
	settings := doc.Settings(cfg)
	return e.print(map[string]any{"file": path, "settings": settings}, func(out *printer) {
		out.raw(inLines(config.Text(settings, filepath.Base(path))))
	})
}

// askWaiting returns the counts of the bridge that runs on a data folder, or nil when none runs
// or its NATS is away.
func askWaiting(e *env, cfg *config.Config) (*app.Waiting, error) {
	holder, err := app.ReadHolder(cfg.DataDir)
	if errors.Is(err, app.ErrNotRunning) || err == nil && holder.AdminURL == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	api := apiFlag{API: holder.AdminURL}
	for _, t := range cfg.Admin.Tokens {
		if slices.Contains(t.Scopes, adminapi.ScopeRead) {
			api.Token = t.Secret
		}
	}
	var list adminapi.ConsumerList
	if err := api.get(e, apiRoute("consumers"), nil, &list); err != nil {
		return nil, nil //nolint:nilerr // its NATS is away, or it has other tokens: the last counts are recorded
	}
	return &app.Waiting{Consumers: list.Consumers, Skips: func(_ context.Context, name string, f bridge.Filter) (uint64, error) {
		var answer adminapi.FilterSkips
		err := api.call(e, http.MethodPost, apiRoute("consumers", name, "filter-skips"), //nolint:contextcheck // the context of the verb bounds the call
			adminapi.FilterCall{Event: f.Event, Sources: f.Sources, Statuses: f.Statuses, Model: f.Model}, &answer)
		return answer.Skips, err
	}}, nil
}
