package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
)

// What is counted.
const (
	sent         = "webhooks sent"
	stored       = "200 stored"
	duplicate    = "200 duplicate: sent again, in the same or in other bytes"
	unauthorized = "401: signature missing or wrong"
	quarantined  = "200 quarantined: signed, but not readable as an event"

	inQuarantine = "in quarantine"
	refused      = "refused"
	explained    = "with the cause that they were sent with"

	events          = "events"
	completedEvents = "completed"
	failedEvents    = "failed"
	repeated        = "ids that are there twice"
	intact          = "bodies byte-identical, signature verified again"

	exitCode  = "exit code of the bridge on SIGTERM"
	manifests = "manifests, one for each completed prediction"
	bodies    = "event.json byte-identical, signature verified again"
	outputs   = "outputs"
	bytesKept = "bytes of outputs"
	checksums = "checksums equal: file, manifest, file server"
	lateKept  = "outputs that the provider had only at the second try"
	goneNamed = "outputs gone at the provider, named in the manifest"
	strays    = "half or unknown files"

	announced  = "announced to the bridge"
	webhooks   = "webhooks lost, none of them tried"
	polled     = "ended all the same: the bridge asked the provider"
	askedOnce  = "asked for once and not again"
	lostOutput = "outputs archived, checksums equal"
)

// table is every count in its order, under headings.
var table = []struct {
	heading string
	counts  []string
}{
	{"what the sender was answered", []string{sent, stored, duplicate, unauthorized, quarantined}},
	{"what was kept of those that are no event, to be repaired", []string{inQuarantine, refused, explained}},
	{"what the stream holds, read with a plain NATS client", []string{events, completedEvents, failedEvents, repeated, intact}},
	{"what the disk holds after the bridge was stopped", []string{exitCode, manifests, bodies, outputs, bytesKept, checksums, lateKept, goneNamed, strays}},
	{"what became of predictions whose webhook the provider lost", []string{announced, webhooks, polled, askedOnce, lostOutput}},
}

// counts are the numbers of a table, by what is counted.
type counts map[string]int64

// wrong says which of the numbers that were counted are not what they must be.
func (want counts) wrong(got counts) (wrong []string) {
	for _, part := range table {
		for _, what := range part.counts {
			if got[what] != want[what] {
				wrong = append(wrong, fmt.Sprintf("%s is %s instead of %s", what, humanize.Comma(got[what]), humanize.Comma(want[what])))
			}
		}
	}
	return wrong
}

// print writes the table and, as the last line, what it comes to.
func (want counts) print(w io.Writer, got counts) error {
	var b strings.Builder
	width := 0
	for _, part := range table {
		for _, what := range part.counts {
			width = max(width, len(what))
		}
	}
	fmt.Fprintf(&b, "\n%-*s  %10s  %10s  %s\n", width+2, "what", "expected", "counted", "ok")
	for _, part := range table {
		fmt.Fprintln(&b, part.heading)
		for _, what := range part.counts {
			ok := "yes"
			if got[what] != want[what] {
				ok = "NO"
			}
			fmt.Fprintf(&b, "  %-*s  %10s  %10s  %s\n", width, what, humanize.Comma(want[what]), humanize.Comma(got[what]), ok)
		}
	}
	if wrong := want.wrong(got); len(wrong) > 0 {
		fmt.Fprintf(&b, "\nnot right: %s\n", strings.Join(wrong, "; "))
	} else {
		fmt.Fprintf(&b, "\nevery count is right; %d webhooks were lost at the provider, and their results are here all the same\n", lost)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
