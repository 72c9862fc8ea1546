package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
)

type signatureCmd struct {
	Explain signatureExplainCmd `cmd:"" help:"Say why the signature of a webhook does not match, without a bridge."`
}

type signatureExplainCmd struct {
	Body    string             `arg:"" optional:"" default:"-" help:"The file with the body, byte for byte as it came; - is standard input."`
	Header  []string           `sep:"none" short:"H" placeholder:"NAME: VALUE" help:"A header that came; repeat it for several."`
	Headers string             `placeholder:"FILE" help:"A file with the headers that came, a line each; those that curl -v prints can be read too."`
	Secret  []config.SecretRef `default:"env:GET3W_WEBHOOK_SECRET" help:"A secret that may have signed, as env:NAME or file:PATH; repeat it for several."`
	Kind    string             `default:"get3w" help:"The kind of the source."`
	MaxAge  time.Duration      `placeholder:"DURATION" help:"The max_age of the source, to see whether the webhook is too old."`
}

// Run prints the cause, and fails unless the webhook would become an event. It also looks with a
// secret that a bridge refuses because something was pasted around it.
func (c *signatureExplainCmd) Run(e *env) error {
	if c.Body == "-" && c.Headers == "-" {
		return &usageError{errors.New("--headers and the body cannot both be standard input")}
	}
	header, err := c.header(e)
	if err != nil {
		return err
	}
	d := app.SignedDelivery{Kind: c.Kind, MaxAge: c.MaxAge, Header: header, At: time.Now()}
	var places []string
	usable := true
	for _, ref := range c.Secret {
		_, refused := ref.Require(e.getenv)
		secret, err := ref.Unchecked(e.getenv)
		if err != nil || len(secret) == 0 {
			return fmt.Errorf("--secret: %w", refused)
		}
		if refused != nil { // by a bridge, which is likely the cause
			usable = false
			e.note("--secret: %v", refused)
		}
		d.Secrets, places = append(d.Secrets, secret), append(places, string(ref))
	}
	d.Place = strings.Join(places, ", ")
	if d.Body, err = readInput("the body", c.Body, maxSendBody, e.stdin); err != nil {
		return err
	}
	report, err := app.ExplainSignature(d)
	if err != nil {
		return &usageError{fmt.Errorf("--kind: %w", err)}
	}
	err = e.print(report, func(out *printer) {
		switch {
		case report.Accepted:
			out.printf("the signature matches: the webhook would become the event %s\n", report.Event)
		case report.Matches:
			out.printf("the signature matches, but the webhook would become no event: %s\n  %s\n", report.Cause, report.Detail)
		default:
			out.printf("the signature does not match: %s\n  %s\n", report.Cause, report.Detail)
		}
		out.printf("looked at the body (%d bytes), the headers (%d) and the secrets of %s\n", len(d.Body), len(header), d.Place)
	})
	if err == nil && (!report.Accepted || !usable) {
		return errSilent
	}
	return err
}

// maxHeaders bounds the headers that are read, in bytes.
const maxHeaders = 64 << 10

func (c *signatureExplainCmd) header(e *env) (http.Header, error) {
	header := http.Header{}
	for _, line := range c.Header {
		if err := addHeader(header, line); err != nil {
			return nil, &usageError{fmt.Errorf("--header: %w", err)}
		}
	}
	if c.Headers == "" {
		return header, nil
	}
	text, err := readInput("--headers", c.Headers, maxHeaders, e.stdin)
	if err != nil {
		return nil, err
	}
	if err := readHeaders(header, text); err != nil {
		return nil, fmt.Errorf("--headers: %w", err)
	}
	return header, nil
}

// readHeaders reads the header of a request, a line for each value, until the first empty line
// behind one. It passes over the line of the request, and over the > before each line of curl -v.
func readHeaders(header http.Header, text []byte) error {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		one := strings.TrimSpace(strings.TrimPrefix(string(line), ">"))
		switch {
		case one == "" && len(header) > 0:
			return nil
		case one == "", strings.Contains(one, " HTTP/"):
		default:
			if err := addHeader(header, one); err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
	}
	return nil
}

// addHeader adds one header. The error does not repeat it, since it can hold a token.
func addHeader(header http.Header, line string) error {
	name, value, ok := strings.Cut(line, ":")
	name = strings.TrimSpace(name)
	if !ok || name == "" || strings.ContainsAny(name, " \t") {
		return errors.New("it is no header: write Name: value")
	}
	header.Add(textproto.CanonicalMIMEHeaderKey(name), strings.TrimSpace(value))
	return nil
}
