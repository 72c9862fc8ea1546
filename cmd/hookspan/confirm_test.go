package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// A verb that cannot be undone asks first, with the kind and number of its entries; without a
// terminal it needs --yes. A no, no answer and Ctrl-C change nothing.
func TestWhatCannotBeTakenBackIsAskedFor(t *testing.T) {
	t.Parallel()
	p := serveHere(t, strings.Replace(smallConfig, "archive: {enabled: false}",
		`archive: {enabled: false}, team: {kind: exec, command: ["/bin/sh", "-c", "exit 65"], start: all}`, 1))
	for i := range 3 {
		p.post(fmt.Sprintf(`{"id":"pred_%d","status":"failed"}`, i))
	}
	p.post(`{"status":"failed"}`) // to the quarantine
	require.Eventually(t, func() bool { return p.state("team").Dead == 3 }, patience, 20*time.Millisecond, p.logs)
	var added any
	p.verb(&added, "consumers", "add", "mine", "--status", "failed", "--start", "all")

	dead := func() (n int) {
		var list adminapi.DeadLetterList
		p.verb(&list, "dead", "list")
		return len(list.Letters)
	}
	for _, c := range []struct {
		verb, asks string
		still      func() bool
	}{
		{"dead drop --consumer team", "Remove 3 dead letters of consumer team for good?", func() bool { return dead() == 3 }},
		{"dead drop --seq 1", "Remove 1 dead letters for good?", func() bool { return dead() == 3 }},
		{"dead redrive --consumer team", "Give the events of 3 dead letters of consumer team to the consumer again", func() bool { return dead() == 3 }},
		{"dead redrive --consumer team --cause permanent", "3 dead letters of consumer team with cause permanent", func() bool { return dead() == 3 }},
		{"events replay --consumer team", "Give 3 events to consumer team again?", func() bool { return dead() == 3 }},
		{"quarantine drop --stream quarantine", "Remove 1 deliveries of quarantine for good?", func() bool {
			var list adminapi.KeptList
			p.verb(&list, "quarantine", "list")
			return len(list.Entries) == 1
		}},
		{"consumers seek mine --new", "Never give the events from 1 to 3, up to 3 to consumer mine?", func() bool { return p.state("mine").Pending == 3 }},
		{"consumers remove mine", "Remove consumer mine for good, with 3 events that it has not handled", func() bool { return p.state("mine").Pending == 3 }},
	} {
		args := append(strings.Fields(c.verb), "--api", p.ready.Admin)
		code, stdout, stderr := runVerb(args...)
		require.Equal(t, 2, code, c.verb)
		require.Empty(t, stdout, c.verb)
		require.Contains(t, stderr, "add --yes", c.verb)
		require.True(t, c.still(), c.verb)
		for _, line := range []string{"n\n", "\n", "", "yeah\n"} {
			code, stdout, stderr = answer(t, "", line, args...)
			require.Equal(t, 1, code, c.verb)
			require.Empty(t, stdout, c.verb)
			require.Contains(t, stderr, c.asks, c.verb)
			require.Contains(t, stderr, "nothing was done", c.verb)
			require.True(t, c.still(), c.verb)
		}
		code, stdout, stderr = interrupt(t, "", c.asks, args...)
		require.Equal(t, 1, code, c.verb)
		require.Empty(t, stdout, c.verb)
		require.Contains(t, stderr, "[y/N] \nhookspan: interrupted: nothing was done\n", c.verb)
		require.True(t, c.still(), c.verb)
	}

	for _, verb := range []string{"dead drop --consumer team --dry-run", "consumers remove mine --dry-run", "consumers seek mine --new --dry-run", "consumers seek mine --first"} {
		code, _, stderr := runVerb(append(strings.Fields(verb), "--api", p.ready.Admin)...)
		require.Equal(t, 0, code, verb+stderr)
	}
	code, stdout, stderr := answer(t, "", "y\n", "dead", "drop", "--consumer", "team", "--api", p.ready.Admin)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "3 looked at, 3 dropped")
	code, stdout, stderr = answer(t, "", "", "dead", "drop", "--consumer", "team", "--api", p.ready.Admin) // there is nothing to ask
	require.Equal(t, 0, code, stderr)
	require.NotContains(t, stderr, "[y/N]")
	require.Equal(t, "0 looked at, 0 dropped\n", stdout)
	p.says("consumers", "remove", "mine", "-y")
	require.NotContains(t, p.says("consumers", "list"), "mine")
}

// An empty value is what a variable of a shell is that was never set: it narrows
// nothing, and is refused.
func TestEmptyNamesAreRefused(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{
		"events list --source=", "events list --status=", "events list --model=", "events list --event=", "events list --prediction=",
		"dead list --consumer=", "dead list --cause=", "dead drop --seq 1 --consumer= --yes", "dead redrive --consumer x --prediction= --yes",
		"quarantine list --source=", "quarantine list --cause=", "quarantine drop --stream refused --source= --yes",
		"events replay --consumer= --yes", "events replay --consumer x --source= --yes", "predictions list --source=", "consumers add x --source=",
	} {
		code, _, stderr := runVerb(append(strings.Fields(verb), "--api", "http://127.0.0.1:1")...)
		require.Equal(t, 2, code, verb)
		require.Contains(t, stderr, "it is empty: name one", verb)
	}
}

// A name that nothing has is an error with those that exist, and not an empty list.
func TestUnknownNamesAreErrors(t *testing.T) {
	t.Parallel()
	p := serveHere(t, strings.Replace(smallConfig, "archive: {enabled: false}", "archive: {enabled: false}, team: {kind: pull}", 1))
	for verb, want := range map[string]string{
		"dead list --consumer tema":                             `--consumer: there is no "tema": use one of predictions, team`,
		"dead redrive --consumer tema --yes":                    `--consumer: there is no "tema": use one of predictions, team`,
		"dead drop --consumer tema --yes":                       `--consumer: there is no "tema": use one of predictions, team`,
		"dead list --cause permanently":                         `--cause: there is no "permanently": use one of permanent, refused, exhausted`,
		"events replay --consumer tema --yes":                   `--consumer: there is no "tema": use one of predictions, team`,
		"events list --source get4w":                            `--source: there is no "get4w": use one of get3w`,
		"events list --status compelted":                        `--status: there is no "compelted": use one of created, processing, completed, failed, canceled`,
		"events list --event predictions":                       `use one of prediction, outputs.archived`,
		"quarantine list --source get4w":                        `--source: there is no "get4w": use one of get3w`,
		"quarantine list --cause noid":                          `--cause: there is no "noid": use one of encoding, syntax`,
		"quarantine reverify --source get4w":                    `--source: there is no "get4w": use one of get3w`,
		"quarantine drop --stream refused --source get4w --yes": `--source: there is no "get4w"`,
		"predictions list --source get4w":                       `--source: there is no "get4w": use one of get3w`,
		"predictions list --status compelted":                   `--status: there is no "compelted": use one of created`,
		"predictions show x --source get4w":                     `--source: there is no "get4w": use one of get3w`,
		"predictions await x --source get4w":                    `--source: there is no "get4w": use one of get3w`,
		"consumers add new --source get4w":                      `--source: there is no "get4w": use one of get3w`,
		"consumers add new --status compelted":                  `--status: there is no "compelted": use one of created`,
		"consumers pause tema":                                  "There is no such consumer: use one of team.",
		"consumers resume tema":                                 "There is no such consumer: use one of team.",
		"consumers seek tema --first":                           "There is no such consumer: use one of team.",
		"consumers remove tema --yes":                           "There is no such consumer: use one of team.",
	} {
		code, stdout, stderr := runVerb(append(strings.Fields(verb), "--api", p.ready.Admin)...)
		require.Equal(t, 1, code, verb)
		require.Empty(t, stdout, verb)
		require.Contains(t, stderr, want, verb)
	}
	for _, verb := range []string{"dead list --consumer team", "dead list --cause permanent", "events list --source get3w --status completed", "quarantine list --source get3w --cause no_id", "events list --status *"} {
		require.Contains(t, p.says(strings.Fields(verb)...), "there is none", verb)
	}
	// Dead letters and events are found under the name of a removed consumer or source.
	p.post(`{"id":"a","status":"queued"}`)
	require.Contains(t, p.says("events", "list", "--status", "queued"), strconv.Quote("a")[1:2])
}
