package app

import (
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// inForce is the configuration that the process uses. It is replaced as a whole when the file is
// read again.
type inForce struct {
	cfg *config.Config
	// doc is the file as it was last read.
	doc *config.Document
	// restart are the keys of doc that are not used before a restart.
	restart []string
}

func (o Options) load() (*config.Config, *config.Document, error) {
	return config.LoadDocument(o.File, o.Flags)
}

// readDocument returns the document of a configuration that somebody else has read or made.
// Without a file that can be read no key has a line.
func (o Options) readDocument() *config.Document {
	_, doc, err := o.load()
	if err != nil {
		return &config.Document{}
	}
	return doc
}

// configInForce returns the configuration for operators.
func (a *App) configInForce() adminapi.Config {
	now := a.force.Load()
	out := adminapi.Config{Version: a.opts.Version, File: a.opts.File, Settings: []adminapi.Setting{}, Restart: append([]string{}, now.restart...)}
	for _, s := range now.doc.Settings(now.cfg) {
		out.Settings = append(out.Settings, adminapi.Setting(s))
	}
	return out
}
