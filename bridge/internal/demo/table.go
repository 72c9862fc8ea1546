package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
)

// counts is everything that is counted, and also what it must come to.
type counts struct {
	answers  answers
	withheld withheldCounts
	stream   streamCounts
	disk     diskCounts
	lost     lostCounts
	exit     int
}

// row is one line of the table; one without numbers is a heading.
type row struct {
	what           string
	heading        bool
	expected, have int64
}

func (r row) ok() bool { return r.expected == r.have }

type table []row

func newTable(want, got counts) table {
	var t table
	heading := func(what string) { t = append(t, row{what: what, heading: true}) }
	add := func(what string, expected, have int) {
		t = append(t, row{what: what, expected: int64(expected), have: int64(have)})
	}
	heading("what the sender was answered")
	add("webhooks sent", want.answers.sent, got.answers.sent)
	add("200 stored", want.answers.stored, got.answers.stored)
	add("200 duplicate: sent again, in the same or in other bytes", want.answers.duplicate, got.answers.duplicate)
	add("401: signature missing or wrong", want.answers.unauthorized, got.answers.unauthorized)
	add("200 quarantined: signed, but not readable as an event", want.answers.quarantined, got.answers.quarantined)
	heading("what was kept of those that are no event, to be repaired")
	add("in quarantine", want.withheld.quarantined, got.withheld.quarantined)
	add("refused", want.withheld.refused, got.withheld.refused)
	add("with the cause that they were sent with", want.withheld.explained, got.withheld.explained)
	heading("what the stream holds, read with a plain NATS client")
	add("events", want.stream.events, got.stream.events)
	add("completed", want.stream.completed, got.stream.completed)
	add("failed", want.stream.failed, got.stream.failed)
	add("ids that are there twice", want.stream.repeated, got.stream.repeated)
	add("bodies byte-identical, signature verified again", want.stream.intact, got.stream.intact)
	heading("what the disk holds after the bridge was stopped")
	add("exit code of the bridge on SIGTERM", want.exit, got.exit)
	add("manifests, one for each completed prediction", want.disk.manifests, got.disk.manifests)
	add("event.json byte-identical, signature verified again", want.disk.bodies, got.disk.bodies)
	add("outputs", want.disk.outputs, got.disk.outputs)
	t = append(t, row{what: "bytes of outputs", expected: want.disk.bytes, have: got.disk.bytes})
	add("checksums equal: file, manifest, file server", want.disk.checksums, got.disk.checksums)
	add("outputs that the provider had only at the second try", want.disk.late, got.disk.late)
	add("outputs gone at the provider, named in the manifest", want.disk.gone, got.disk.gone)
	add("half or unknown files", want.disk.strays, got.disk.strays)
	heading("what became of predictions whose webhook the provider lost")
	add("announced to the bridge", want.lost.announced, got.lost.announced)
	add("webhooks lost, none of them tried", want.lost.webhooks, got.lost.webhooks)
	add("ended all the same: the bridge asked the provider", want.stream.polled, got.stream.polled)
	add("asked for once and not again", want.lost.askedOnce, got.lost.askedOnce)
	add("outputs archived, checksums equal", want.disk.lost, got.disk.lost)
	return t
}

// wrong says which counts are not what they must be.
func (t table) wrong() []string {
	var wrong []string
	for _, r := range t {
		if !r.heading && !r.ok() {
			wrong = append(wrong, fmt.Sprintf("%s is %s instead of %s", r.what, humanize.Comma(r.have), humanize.Comma(r.expected)))
		}
	}
	return wrong
}

// print writes the table and, as the last line, what it comes to.
func (t table) print(w io.Writer) error {
	var b strings.Builder
	width := 0
	for _, r := range t {
		width = max(width, len(r.what))
	}
	fmt.Fprintf(&b, "\n%-*s  %10s  %10s  %s\n", width+2, "what", "expected", "counted", "ok")
	for _, r := range t {
		if r.heading {
			fmt.Fprintf(&b, "%s\n", r.what)
			continue
		}
		ok := "yes"
		if !r.ok() {
			ok = "NO"
		}
		fmt.Fprintf(&b, "  %-*s  %10s  %10s  %s\n", width, r.what, humanize.Comma(r.expected), humanize.Comma(r.have), ok)
	}
	if wrong := t.wrong(); len(wrong) > 0 {
		fmt.Fprintf(&b, "\nnot right: %s\n", strings.Join(wrong, "; "))
	} else {
		fmt.Fprintf(&b, "\nevery count is right; %d webhooks were lost at the provider, and their results are here all the same\n", lost)
	}
	_, err := io.WriteString(w, b.String())
	if err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	return nil
}
