package main

import (
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
)

type serveCmd struct {
	configFlag
	rolesFlags
}

// rolesFlags have one configuration serve several processes.
type rolesFlags struct {
	Roles nameList `placeholder:"ROLE" help:"The roles of this process, instead of those that the configuration names: some of ingress, consumers, reconciler and admin, with commas between."`
	Only  nameList `placeholder:"NAME" help:"The consumers that this process runs, with commas between: other processes run the others."`
}

func (f rolesFlags) flags() config.Flags {
	return config.Flags{Roles: texts(f.Roles), Only: texts(f.Only)}
}

// Run serves until it is told to stop. It returns even when a part hangs.
func (c *serveCmd) Run(e *env) error {
	file, err := c.file()
	if err != nil {
		return err
	}
	spareProcessors(e.getenv)
	hangups := e.hangups() // from the start: one that comes too early ends the process
	sockets, err := e.sockets()
	if err != nil {
		return err
	}
	opts := app.Options{
		File: file, Flags: c.flags(), Version: version(), Getenv: e.getenv, Log: e.stderr, Reload: hangups,
		Webhooks: sockets.Webhooks, Admin: sockets.Admin,
	}
	manager, err := e.manager()
	if err != nil {
		return err
	}
	if manager != nil {
		opts.Notify, opts.Watchdog = manager.Tell, manager.Watchdog
	}
	return app.Run(e.ctx, opts, func(a *app.App) error { return announce(e, file, a) })
}

// announce prints the addresses and what to try. File is the configuration, empty for none.
func announce(e *env, file string, a *app.App) error {
	cfg, r := a.Config(), a.Ready()
	return e.print(r, func(out *printer) {
		out.printf("hookspan %s is ready\n", version())
		line := func(what, format string, args ...any) {
			out.printf("  %-20s "+format+"\n", append([]any{what}, args...)...)
		}
		for _, name := range slices.Sorted(maps.Keys(r.Webhooks)) {
			line("webhooks of "+name, "%s", r.Webhooks[name])
		}
		switch {
		case cfg.NATS.External():
			line("events in", "the external NATS at %s", cfg.NATS.Place())
		case r.NATS == "":
			line("events in", "the embedded NATS, for this process alone")
		default:
			line("events in", "%s", r.NATS)
			line("", "other programs connect after: %s", natsEnvCommand(e, file))
		}
		for _, name := range slices.Sorted(maps.Keys(cfg.Consumers)) {
			if cfg.Runs(name) {
				line("consumer "+name, "%s", cfg.Consumers[name].Does(cfg))
			}
		}
		if r.Config != "" {
			line("configured by", "%s", r.Config)
		}
		line("data in", "%s", r.DataDir)
		if r.Admin != "" {
			line("health and metrics", "%s/readyz, %s/metrics", r.Admin, r.Admin)
		}
		for _, name := range slices.Sorted(maps.Keys(r.Webhooks)) {
			secret, ok := a.FirstSecret(name)
			if !ok {
				continue // the log says loudly that there is none
			}
			with := ""
			if variable, is := strings.CutPrefix(string(secret), "env:"); is {
				with = " where $" + variable + " is set as it is here"
			}
			out.printf("try it%s:\n  %s\n", with, sendCommand(e, cfg, name, secret, r.Webhooks[name]))
			break
		}
	})
}

// natsEnvCommand is the shell command that takes the output of nats-env, from any folder.
func natsEnvCommand(e *env, file string) string {
	command := e.command() + " nats-env"
	if file != "" {
		command += " --config " + shellQuote(file)
	}
	if here, err := os.Getwd(); err == nil { // relative paths in the configuration begin here
		command = "cd " + shellQuote(here) + " && " + command
	}
	return `eval "$(` + command + `)"`
}

// sendCommand is the shell command that posts a first webhook to a source, from any folder.
func sendCommand(e *env, cfg *config.Config, source string, secret config.SecretRef, address string) string {
	command := e.command() + " send --secret " + shellQuote(string(secret.Absolute()))
	if cert := cfg.Ingress.TLS.Cert; cert != "" {
		// The certificate serves as its own authority, since the system need not know its
		// issuer.
		command += " --ca " + shellQuote(config.Absolute(cert))
		if name := otherName(cert, address); name != "" {
			command += " --tls-name " + shellQuote(name)
		}
	}
	command += " --url " + shellQuote(address)
	token := cfg.Sources[source].PathToken.Absolute()
	if kind, name, _ := strings.Cut(string(token), ":"); kind == "env" {
		command += `/"$` + name + `"`
	} else if kind == "file" {
		command += `/"$(cat ` + shellQuote(name) + `)"`
	}
	return command
}

// otherName is a name of the certificate, "" when it is for the host of the address, or cannot
// be read any more.
func otherName(certFile, address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	text, err := os.ReadFile(certFile)
	if err != nil {
		return ""
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil || block.Type != "CERTIFICATE":
			continue
		case cert.VerifyHostname(u.Hostname()) == nil:
		case len(cert.DNSNames) > 0:
			return strings.Replace(cert.DNSNames[0], "*", "hooks", 1)
		case len(cert.IPAddresses) > 0:
			return cert.IPAddresses[0].String()
		}
		return ""
	}
	return ""
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

func shellQuote(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// command is how another shell calls this program, from any folder.
func (e *env) command() string {
	if !strings.ContainsRune(e.program, filepath.Separator) {
		return "hookspan"
	}
	path, err := filepath.Abs(e.program)
	if err != nil {
		path = e.program
	}
	return shellQuote(path)
}
