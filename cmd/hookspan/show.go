package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/hookspan/hookspan/bridge"
)

// pageFlags say how much of a list is printed. Lists begin with the newest.
type pageFlags struct {
	Limit  int     `default:"100" help:"At most so many, 1 to 1000."`
	Before uint64  `placeholder:"N" xor:"page" help:"Only those before this one: what follows a list that was too long."`
	After  *uint64 `placeholder:"N" xor:"page" help:"Only those behind this one, the oldest first: to read all of a list, and go on with what comes."`
}

// query adds the page to what a list is asked for.
func (p pageFlags) query(values map[string]string) map[string]string {
	values["limit"] = strconv.Itoa(p.Limit)
	if p.After != nil {
		values["after"] = optional(*p.After)
		return values
	}
	values["order"], values["before"] = "newest", optional(p.Before)
	return values
}

// print prints a list of n rows. The heading stands there also when there is none.
func (p pageFlags) print(e *env, t *table, n int, more bool, last uint64) error {
	out := &printer{w: e.stdout}
	t.print(out)
	switch {
	case more && last == 0:
		out.printf("and there may be more: --stream with --before or --after shows what follows, --limit shows more at once\n")
	case more && p.After != nil:
		out.printf("and there may be more: go on with --after %d, or raise --limit\n", last)
	case more:
		out.printf("and there may be more: go on with --before %d, or raise --limit\n", last)
	case n == 0:
		out.printf("there is none\n")
	}
	return out.err
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// bodyFlag is shared by the verbs that show a message.
type bodyFlag struct {
	Body bool `help:"Print the body alone, byte for byte."`
}

// show prints a message: as JSON, or what head prints and then the body. The body is
// printed byte for byte, and nothing behind it; on a terminal whatever is not printable
// in it is escaped, since whoever sent it must not write there.
func (f bodyFlag) show(e *env, detail any, body []byte, head func(*printer)) error {
	out := &printer{w: e.stdout}
	switch {
	case f.Body:
	case e.json:
		return writeJSON(e.stdout, detail)
	default:
		head(out)
		out.printf("body      %d bytes\n\n", len(body))
	}
	if isTerminal(e.stdout) {
		out.raw(inLines(string(body)) + "\n")
	} else {
		out.raw(string(body))
	}
	return out.err
}

func printHeader(out *printer, header bridge.Header) {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			out.printf("  %s: %q\n", name, value)
		}
	}
}

// asked is a question about n things, "" for none: then there is nothing to ask.
func asked(n int, format string, args ...any) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, append([]any{n}, args...)...)
}
