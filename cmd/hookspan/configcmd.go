package main

import (
	"errors"
	"fmt"
)

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Say whether the configuration can be used, and if not, what is wrong where."`
}

type configCheckCmd struct {
	configFlag
	Path      string `arg:"" optional:"" help:"The file, as an alternative to --config."`
	NoSecrets bool   `help:"Look at the file alone: its secrets, files, folders and addresses are on another machine."`
}

// Run reads the configuration as serve does, looks for what it needs of this machine, and
// says what changes for events that wait.
func (c *configCheckCmd) Run(e *env) error {
	path := c.Path
	if path == "" {
		path = c.File
	}
	cfg, doc, err := loadDocument(path)
	if err != nil {
		return err
	}
	if !c.NoSecrets {
		if err := doc.join(cfg.lacks(e.ctx, e.getenv)); err != nil {
			return errors.Join(err, errors.New("(--no-secrets checks the file alone, where all of that is on another machine)"))
		}
	}
	if path == "" {
		path = "the default configuration"
	}
	changes, err := cfg.changes(e)
	if err != nil {
		return fmt.Errorf("%s can be used, but cannot be compared with what runs: %w", path, err)
	}
	if e.json {
		return writeJSON(e.stdout, map[string]any{
			"ok": true, "file": path, "sources": sortedKeys(cfg.Sources), "consumers": sortedKeys(cfg.Consumers), "changes": changes,
		})
	}
	out := &printer{w: e.stdout}
	out.printf("%s can be used: sources %v, consumers %v\n", path, sortedKeys(cfg.Sources), sortedKeys(cfg.Consumers))
	for _, c := range changes {
		out.printf("changes: %s\n", c.Text)
	}
	return out.err
}
