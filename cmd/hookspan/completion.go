package main

import (
	"context"
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// completionScripts have a shell ask hookspan completion words.
//
//go:embed completion
var completionScripts embed.FS

type completionCmd struct {
	Bash  completionScriptCmd `cmd:"" help:"Print the script for bash."`
	Zsh   completionScriptCmd `cmd:"" help:"Print the script for zsh."`
	Fish  completionScriptCmd `cmd:"" help:"Print the script for fish."`
	Words completionWordsCmd  `cmd:"" hidden:"" help:"Print what the last word can be, one a line, with a tab and its help."`
}

type completionScriptCmd struct{}

func (completionScriptCmd) Run(e *env, k *kong.Context) error {
	script, err := completionScripts.ReadFile("completion/" + k.Selected().Name)
	if err != nil {
		return fmt.Errorf("reading the script: %w", err)
	}
	_, err = e.stdout.Write(script)
	return err
}

type completionWordsCmd struct {
	Words []string `arg:"" optional:"" help:"The words behind hookspan, the last one as far as it is typed."`
}

func (c completionWordsCmd) Run(e *env, k *kong.Context) error {
	out := &printer{w: e.stdout}
	for _, w := range complete(e, k.Model.Node, c.Words) {
		out.printf("%s\t%s\n", w.word, w.help)
	}
	return out.err
}

type completion struct{ word, help string }

// complete returns what the last word can be. Where a file is wanted, or any text, there is
// none.
func complete(e *env, at *kong.Node, words []string) []completion {
	words = joinAssignments(words)
	typed, open := "", (*kong.Flag)(nil) // open waits for its value
	api, arguments := apiFlag{}, 0
	api.API, _ = e.getenv("HOOKSPAN_API")
	api.File, _ = e.getenv("HOOKSPAN_CONFIG")
	for i, word := range words {
		last := i == len(words)-1
		flag, value, assigned := flagOf(at, word)
		switch {
		case open != nil && last:
			typed = word
		case open != nil:
			api.note(open.Name, word)
			open = nil
		case last && assigned && flag != nil:
			typed, open = value, flag
		case last:
			typed = word
		case flag != nil && assigned:
			api.note(flag.Name, value)
		case flag != nil && !flag.IsBool():
			open = flag
		case strings.HasPrefix(word, "-"):
		default:
			child := childOf(at, word)
			if child == nil {
				arguments++
				continue
			}
			at = child
		}
	}
	var all []completion
	switch {
	case open != nil:
		all = values(e, &api, open.Name, open.Value)
	case strings.HasPrefix(typed, "-"):
		all = flags(at)
	case arguments < len(at.Positional):
		all = values(e, &api, argumentName(at, arguments), at.Positional[arguments])
	default:
		for _, child := range at.Children {
			if !child.Hidden {
				all = append(all, completion{child.Name, child.Help})
			}
		}
	}
	return slices.DeleteFunc(all, func(c completion) bool { return !strings.HasPrefix(c.word, typed) })
}

// joinAssignments joins what bash takes apart, --flag, = and a value.
func joinAssignments(words []string) []string {
	var out []string
	for i := 0; i < len(words); i++ {
		if words[i] != "=" || len(out) == 0 {
			out = append(out, words[i])
			continue
		}
		out[len(out)-1] += "="
		if i+1 < len(words) {
			i++
			out[len(out)-1] += words[i]
		}
	}
	return out
}

// flagOf returns the flag that a word names, and its value behind =.
func flagOf(at *kong.Node, word string) (flag *kong.Flag, value string, assigned bool) {
	name, value, assigned := strings.Cut(word, "=")
	for _, group := range at.AllFlags(true) {
		for _, f := range group {
			if name == "--"+f.Name || f.Short != 0 && name == "-"+string(f.Short) {
				return f, value, assigned
			}
		}
	}
	return nil, "", assigned
}

func childOf(at *kong.Node, word string) *kong.Node {
	for _, child := range at.Children {
		if child.Name == word || slices.Contains(child.Aliases, word) {
			return child
		}
	}
	return nil
}

func flags(at *kong.Node) (out []completion) {
	for _, group := range at.AllFlags(true) {
		for _, f := range group {
			out = append(out, completion{"--" + f.Name, f.Help})
		}
	}
	return out
}

// argumentName is the word of an argument: that of a verb of consumers is one of them.
func argumentName(at *kong.Node, argument int) string {
	if argument == 0 && at.Parent != nil && at.Parent.Name == "consumers" && at.Name != "add" {
		return "consumer"
	}
	return at.Positional[argument].Name
}

// values are those of a flag or an argument with a fixed list, or with names that the bridge
// knows.
func values(e *env, api *apiFlag, name string, v *kong.Value) (out []completion) {
	var names []string
	switch {
	case v.Enum != "":
		names = v.EnumSlice()
	case name == "status":
		names = statuses
	case name == "cause":
		names = deadCauses
	case name == "consumer" || name == "source":
		known := api.names(e)
		names = known.Consumers
		if name == "source" {
			names = known.Sources
		}
	}
	for _, n := range names {
		out = append(out, completion{word: n})
	}
	return out
}

// namesPatience bounds how long a shell waits for the bridge.
const namesPatience = time.Second

// names asks the bridge, and returns none when there is no answer: a shell shows no errors.
func (f *apiFlag) names(e *env) (names adminapi.Names) {
	ctx, cancel := context.WithTimeout(e.ctx, namesPatience)
	defer cancel()
	asking := *e
	asking.ctx, asking.terminal = ctx, false
	_ = f.get(&asking, apiRoute("names"), nil, &names)
	return names
}

// note keeps which bridge the words name.
func (f *apiFlag) note(flag, value string) {
	switch flag {
	case "api":
		f.API = value
	case "config":
		f.File = value
	case "token":
		f.Token = config.SecretRef(value)
	}
}
