package config

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Problem is an error about one key of the file, with the remedy.
type Problem struct {
	keys []string
	text string
}

// Error returns the text with the key. See [Document.Join] for the line.
func (p Problem) Error() string { return strings.Join(p.keys, ".") + ": " + p.text }

// Checker collects problems.
type Checker []Problem

// Fail adds a problem of a key, such as ingress.listen.
func (c *Checker) Fail(key, format string, args ...any) {
	*c = append(*c, Problem{strings.Split(key, "."), fmt.Sprintf(format, args...)})
}

// Check adds the error as a problem of the key, unless it is nil.
func (c *Checker) Check(key string, err error) {
	if err != nil {
		c.Fail(key, "%v", err)
	}
}

func (c *Checker) together(key, names, a, b string) {
	if (a == "") != (b == "") {
		c.Fail(key, "%s come together", names)
	}
}

func (c *Checker) oneOf(key, value string, words []string) {
	if !slices.Contains(words, value) {
		last := len(words) - 1
		c.Fail(key, "use %s or %s", strings.Join(words[:last], ", "), words[last])
	}
}

func between[T cmp.Ordered](c *Checker, key string, value, least, most T) {
	if value < least || value > most {
		c.Fail(key, "it is %v: use %v to %v", value, least, most)
	}
}

func (c *Config) problems() []Problem {
	var found Checker
	if c.DataDir == "" {
		found.Fail("data_dir", "it is empty: name a folder")
	}
	c.checkRoles(&found)
	c.checkOnly(&found)
	c.Log.check(&found)
	c.Ingress.check(c, &found)
	c.Journal.check(c, &found)
	c.Admin.check(&found)
	c.NATS.check(c, &found)
	c.checkListeners(&found)
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		c.Sources[name].check(c, name, &found)
	}
	c.View.check(&found)
	c.Predictions.check(&found)
	for _, name := range slices.Sorted(maps.Keys(c.Consumers)) {
		cons := c.Consumers[name]
		cons.Base().checkCommon(name, &found)
		cons.check(c, name, &found)
	}
	return found
}

func (c *Config) checkRoles(found *Checker) {
	if len(c.Roles) == 0 {
		found.Fail("roles", "it is empty: name some of %s, or remove it for all of them", strings.Join(roles, ", "))
	}
	if slices.ContainsFunc(c.Roles, func(role string) bool { return !slices.Contains(roles, role) }) {
		found.Fail("roles", "one of them is not known: use %s", strings.Join(roles, ", "))
	}
}

func (c *Config) checkOnly(found *Checker) {
	if len(c.Only) > 0 && !c.Has(RoleConsumers) {
		found.Fail("only", "this process runs no consumers: add the role %s, or remove it", RoleConsumers)
	}
	var names []string
	for name, cons := range c.Consumers {
		if _, runs := cons.(Worker); runs {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range c.Only {
		switch cons, known := c.Consumers[name]; {
		case !known:
			found.Fail("only", "there is no consumer %.80q: use some of %s", name, strings.Join(names, ", "))
		case cons.Base().Kind == KindPull:
			found.Fail("only", "consumer %s is of kind pull, and its own program runs it: use some of %s", name, strings.Join(names, ", "))
		}
	}
}

// isAddress reports whether s is host:port; the host may be empty.
func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}
