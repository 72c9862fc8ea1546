package main

import (
	"path/filepath"
	"regexp"
	"strings"
)

// plainWord is what every shell takes as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

// shellQuote writes a text as one word of a POSIX shell.
func shellQuote(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// command is this program as another shell calls it, whatever its folder is.
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
