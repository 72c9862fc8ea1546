package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/jsm.go/natscontext"
	"github.com/nats-io/nats.go"
)

// maxContext bounds the file of a context, in bytes.
const maxContext = 64 << 10

// contextKeys are the settings of a context that a connection of the bridge honours, or that mean
// nothing to it.
var contextKeys = []string{
	"name", "description", "color_scheme", "url", "user", "password", "creds", "nkey", "user_jwt", "user_seed", "token", "nsc",
	"cert", "key", "ca", "tls_first", "inbox_prefix", "jetstream_domain",
}

// ReadContext returns how a context of the nats command reaches NATS. name is a context of the
// user of this process, or, with a slash in it, the path of a file. Credentials that the context
// names are read at each new connection. A setting that a bridge cannot honour is an error.
func ReadContext(name string) (ExternalConfig, error) {
	path := name
	if !strings.ContainsRune(name, filepath.Separator) {
		var err error
		if path, err = natscontext.ContextPath(name); err != nil {
			return ExternalConfig{}, fmt.Errorf("nats.context: %w", err)
		}
	}
	if err := checkContext(path); err != nil {
		return ExternalConfig{}, fmt.Errorf("nats.context: %w", err)
	}
	c, err := natscontext.NewFromFile(path)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return ExternalConfig{}, fmt.Errorf("nats.context: %w", err)
	}
	return ExternalConfig{URL: c.ServerURL(), Domain: c.JSDomain(), InboxPrefix: c.InboxPrefix(), context: c}, nil
}

func checkContext(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > maxContext {
		return fmt.Errorf("%s is larger than %d bytes", path, maxContext)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var settings map[string]any
	if err := json.Unmarshal(text, &settings); err != nil {
		return fmt.Errorf("%s is not a context: %w", path, err)
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if !slices.Contains(contextKeys, key) && !isEmpty(settings[key]) {
			return fmt.Errorf("%s sets %.40q, which Hookspan cannot honour: remove it, or write nats.url and what else is needed in place of nats.context", path, key)
		}
	}
	if (settings["user_seed"] == nil || settings["user_seed"] == "") && !isEmpty(settings["user_jwt"]) {
		return errors.New(path + " has a user_jwt without a user_seed: use creds")
	}
	return nil
}

// isEmpty reports whether a setting says nothing.
func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	}
	return false
}

// contextOptions reads the credentials of a context.
func contextOptions(c *natscontext.Context) ([]nats.Option, error) {
	options, err := c.NATSOptions()
	if err != nil {
		return nil, fmt.Errorf("reading the credentials of nats.context: %w", err)
	}
	return options, nil
}
