package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// errInterrupted is the error of a prompt that was answered with Ctrl-C.
var errInterrupted = errors.New("interrupted: nothing was done")

// ask prompts at the terminal, and returns the line that is typed. It returns [errInterrupted]
// when e.ctx ends first; the reader of the terminal goes on then, so the program must end.
func (e *env) ask(prompt string) (string, error) {
	out := &printer{w: e.stderr}
	out.raw(inLines(prompt))
	if out.err != nil {
		return "", out.err
	}
	type answer struct {
		line string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		line, err := readLine(e.stdin)
		answered <- answer{line, err}
	}()
	select {
	case a := <-answered:
		return a.line, a.err
	case <-e.ctx.Done():
		out.raw("\n")
		return "", errInterrupted
	}
}

// readLine reads byte by byte, to leave the rest of the input to others.
func readLine(in io.Reader) (string, error) {
	var line strings.Builder
	for one := []byte{0}; line.Len() < 1<<10; {
		n, err := in.Read(one)
		if n > 0 && one[0] == '\n' || errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("reading the answer: %w", err)
		}
		line.Write(one[:n])
	}
	return strings.TrimSpace(line.String()), nil
}

// yesFlag is shared by the verbs that cannot be undone.
type yesFlag struct {
	Yes bool `short:"y" help:"Do not ask. Without a terminal to ask on it is needed."`
}

// confirm returns nil when the verb may go on. What returns the prompt, with a number, or ""
// when nothing would be done; it is called only at a terminal.
func (f yesFlag) confirm(e *env, what func() (string, error)) error {
	if f.Yes {
		return nil
	}
	if !e.terminal {
		return &usageError{errors.New("this cannot be taken back, and there is no terminal to ask on: add --yes, or --dry-run to see what would happen")}
	}
	would, err := what()
	if err != nil || would == "" {
		return err
	}
	answer, err := e.ask(would + " [y/N] ")
	if err != nil {
		return err
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}
