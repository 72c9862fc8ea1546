package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/mattn/go-isatty"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

// printer writes text for people, and keeps the first error of many writes. It escapes every
// formatted value: ids, models, errors and headers come from outside, and must not control a
// terminal.
type printer struct {
	w       io.Writer
	colours bool
	err     error
}

func (p *printer) printf(format string, args ...any) {
	shown := make([]any, len(args))
	for i, arg := range args {
		shown[i] = escaped{arg}
	}
	p.raw(fmt.Sprintf(format, shown...))
}

func (p *printer) raw(text string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, text)
	}
}

func (e *env) print(v any, people func(*printer)) error {
	if e.json {
		return writeJSON(e.stdout, v)
	}
	out := &printer{w: e.stdout, colours: e.colours}
	people(out)
	return out.err
}

// escaped is a value whose text is printable in every format.
type escaped struct{ value any }

func (e escaped) Format(f fmt.State, verb rune) {
	text := fmt.Sprintf(fmt.FormatString(f, verb), e.value)
	_, _ = io.WriteString(f, printable.String(text)) // f never fails
}

// writeJSON writes a value as one line of JSON. All of it is printable, since values from
// outside must not control a terminal.
func writeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(printable.JSON(text), '\n'))
	return err
}

func printHeader(out *printer, header bridge.Header) {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			out.printf("  %s: %q\n", name, value)
		}
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// inLines escapes a text, but not its line breaks.
func inLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = printable.String(line)
	}
	return strings.Join(lines, "\n")
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
