package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/internal/printable"
)

// Exit codes. Wrong use has its own, for scripts.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// errSilent ends a verb with exit code 1 when it has printed everything itself.
var errSilent = errors.New("failed")

// usageError ends a verb with exit code 2 for wrong use.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// failure is an error as it is printed under --json.
type failure struct {
	Error string `json:"error"`
	// Code is the exit code.
	Code int `json:"code"`
}

// fail prints an error on standard error and returns the exit code. Joined errors have a line
// each; no other part of a text begins a line, or acts on a terminal.
func (e *env) fail(err error) int {
	code := exitFailed
	if _, wrong := errors.AsType[*usageError](err); wrong {
		code = exitUsage
	}
	if errors.Is(err, errSilent) {
		return code
	}
	if e.json {
		_ = writeJSON(e.stderr, failure{Error: err.Error(), Code: code}) // there is no other place for an error
		return code
	}
	(&printer{w: e.stderr}).raw("hookspan: " + strings.Join(errorLines(err), "\n") + "\n")
	return code
}

// note says on standard error what is no result and no failure.
func (e *env) note(format string, args ...any) {
	if e.json {
		_ = writeJSON(e.stderr, map[string]string{"note": fmt.Sprintf(format, args...)})
		return
	}
	(&printer{w: e.stderr}).printf("hookspan: "+format+"\n", args...)
}

func errorLines(err error) []string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		if all := joined.Unwrap(); errors.Join(all...).Error() == err.Error() {
			var lines []string
			for _, one := range all {
				lines = append(lines, errorLines(one)...)
			}
			return lines
		}
	}
	if inner := errors.Unwrap(err); inner != nil && inner.Error() == err.Error() {
		return errorLines(inner)
	}
	return []string{printable.String(err.Error())}
}

// wantsJSON reports whether --json is among the arguments, also when others are wrong.
func wantsJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json")
}
