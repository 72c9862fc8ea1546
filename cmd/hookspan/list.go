package main

import (
	"strconv"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// pageFlags select a page of a list. Lists begin with the newest entry.
type pageFlags struct {
	watchFlag
	Limit  int    `default:"100" help:"At most so many, 1 to 1000."`
	Cursor string `placeholder:"TEXT" help:"What follows a list that was too long."`
}

func (p pageFlags) query(values map[string]string) map[string]string {
	values["limit"], values["cursor"] = strconv.Itoa(p.Limit), p.Cursor
	return values
}

// list gets a page of the path and prints it. Into takes the answer, and rows, which is called
// once into is filled, makes a table of it. An empty page with an unknown name is an error.
func (p pageFlags) list(e *env, f *apiFlag, path string, query map[string]string, named naming, into any, rows func() (*table, adminapi.Listed)) error {
	if err := f.get(e, path, p.query(query), into); err != nil {
		return err
	}
	t, at := rows()
	if len(t.rows) == 1 && at.AsOf.IsZero() {
		if err := f.known(e, named); err != nil {
			return err
		}
	}
	return e.print(into, func(out *printer) {
		t.print(out) // an empty list has its heading too
		out.following(at, len(t.rows) == 1)
	})
}

// following says behind a list how it goes on.
func (p *printer) following(at adminapi.Listed, none bool) {
	if !at.AsOf.IsZero() {
		p.printf("NATS does not answer, so what was stored after %s is missing\n", at.AsOf.Format(time.RFC3339))
	}
	switch {
	case at.Next != "":
		p.printf("and there may be more: go on with --cursor %s, or raise --limit\n", at.Next)
	case none:
		p.printf("there is none\n")
	}
}

type bodyFlag struct {
	Body bool `help:"Print the body alone, byte for byte."`
}

// show gets the message at the path and prints it: as JSON, or what head prints and then the
// body. The body is printed byte for byte, with nothing behind it; on a terminal unprintable
// bytes are escaped, since the sender of the body must not control the terminal.
func show[D interface{ Bytes() []byte }](e *env, f *apiFlag, flag bodyFlag, path string, head func(*printer, D)) error {
	var detail D
	if err := f.get(e, path, nil, &detail); err != nil {
		return err
	}
	out, body := &printer{w: e.stdout}, detail.Bytes()
	switch {
	case flag.Body:
	case e.json:
		return writeJSON(e.stdout, detail)
	default:
		head(out, detail)
		out.printf("body      %d bytes\n\n", len(body))
	}
	if isTerminal(e.stdout) {
		out.raw(inLines(string(body)) + "\n")
	} else {
		out.raw(string(body))
	}
	return out.err
}
