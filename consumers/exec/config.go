package exec

import (
	"cmp"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

// Config is for [New].
type Config struct {
	// Command is the absolute path of the command and its arguments, required.
	Command []string
	// Env is what the environment holds beside the attributes of the event, each as NAME=value.
	// The command gets nothing else of the environment of this process.
	Env []string
	// Dir is the folder of the working folders, required, an absolute path. A missing folder is
	// made with mode 0700. No other Runner may use the folder at the same time.
	Dir string
	// Name is the name of the consumer, for alarms.
	Name string
	// Alarms gets an alarm when the command cannot be started. Nil raises none.
	Alarms bridge.Alarmer
	// Logger gets a warning about each folder that cannot be removed. Nil logs nothing.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Alarms == nil {
		c.Alarms = bridge.NoAlarms{}
	}
	return c
}

func (c Config) validate() error {
	if err := CheckCommand(c.Command); err != nil {
		return fmt.Errorf("command: %w", err)
	}
	if !filepath.IsAbs(c.Dir) {
		return fmt.Errorf("dir is %q: name the folder of the working folders by an absolute path", c.Dir)
	}
	for _, variable := range c.Env {
		name, value, _ := strings.Cut(variable, "=")
		if err := CheckEnv(name); err != nil {
			return fmt.Errorf("env: %w", err)
		}
		if strings.Contains(value, "\x00") {
			return fmt.Errorf("env: the value of %s holds a NUL byte", name)
		}
	}
	return nil
}

// CheckCommand returns an error unless the command is usable: its path must be absolute, since
// no search path is used, and no argument may hold a NUL byte. The program need not exist.
func CheckCommand(command []string) error {
	if len(command) == 0 {
		return fmt.Errorf("it is empty: name a program by its absolute path, and its arguments")
	}
	if !filepath.IsAbs(command[0]) {
		return fmt.Errorf("the program has no absolute path: write one such as /usr/local/bin/thumbnail")
	}
	for _, arg := range command {
		if strings.Contains(arg, "\x00") {
			return fmt.Errorf("an argument holds a NUL byte: remove it")
		}
	}
	return nil
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// CheckEnv returns an error unless Config.Env may set the variable.
func CheckEnv(name string) error {
	if !envName.MatchString(name) {
		return fmt.Errorf("one of them is no name of a variable: use letters, digits and _, such as PATH")
	}
	if strings.HasPrefix(name, "HOOKSPAN_") || name == envTrace || name == envTemp {
		return fmt.Errorf("%s is set for each event: remove it", name)
	}
	return nil
}
