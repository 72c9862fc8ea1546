package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/signing"
)

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

// What a program of another team must know of the events beside what the rig knows.
const (
	predictionPrefix = rig.EventsPrefix + "prediction."
	headerStatus     = "ce-status"
	headerOrigin     = "ce-origin"
	headerSignature  = "ce-signature"
)

// countStream counts the messages that read calls its argument with against the plan.
func (p *plan) countStream(c counts, read func(add func(subject string, header nats.Header, body []byte)) error) error {
	ids, msgIDs := map[string]bool{}, map[string]bool{}
	err := read(func(subject string, header nats.Header, body []byte) {
		c[events]++
		ids[header.Get(rig.HeaderEventID)] = true
		msgIDs[header.Get(rig.HeaderMsgID)] = true
		prediction, rest := header.Get(rig.HeaderSubject), strings.TrimPrefix(subject, predictionPrefix)
		status, _, _ := strings.Cut(rest, ".")
		switch {
		case status != header.Get(headerStatus): // neither
		case status == bridge.StatusCompleted:
			c[completedEvents]++
		case status == bridge.StatusFailed:
			c[failedEvents]++
		}
		if p.predictions[prediction].lost && header.Get(headerOrigin) == bridge.OriginPoll && status == bridge.StatusCompleted {
			c[polled]++
		}
		if p.sent(prediction, body, header.Get(headerSignature)) {
			c[intact]++
		}
	})
	c[repeated] = c[events] - int64(min(len(ids), len(msgIDs)))
	return err
}

// sent reports whether this is the body that was sent of the prediction, to the byte, with
// a signature that verifies again.
func (p *plan) sent(id string, body []byte, signature string) bool {
	return bytes.Equal(body, p.bodies[id]) && signing.Verify(signature, body, []byte(rig.Secret))
}

// Names of the files that lie beside the outputs of a prediction.
const (
	manifestName  = "manifest.json"
	eventName     = "event.json"
	signatureName = "event.signature"
)

var outputName = regexp.MustCompile(`^[0-9]+\.(png|mp4)$`)

type manifest struct {
	Prediction string `json:"prediction"`
	Outputs    []struct {
		N      int    `json:"n"`
		Key    string `json:"key"`
		Bytes  int64  `json:"bytes"`
		SHA256 string `json:"sha256"`
		Error  string `json:"error"`
	} `json:"outputs"`
}

// countDisk counts every file of the archive against the plan, and returns one right output.
func (p *plan) countDisk(c counts, archive fs.FS) (example string) {
	files := map[string][]byte{}
	rig.Check(fs.WalkDir(archive, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files[name], err = fs.ReadFile(archive, name)
		}
		return err
	}))
	for name, data := range files {
		switch base := path.Base(name); {
		case base == manifestName:
			var m manifest
			if json.Unmarshal(data, &m) != nil {
				c[strays]++ // it is half
				continue
			}
			c[manifests]++
			example = cmp.Or(p.countOutputs(c, m, files), example)
		case base == eventName:
			folder := path.Dir(name)
			if p.sent(path.Base(folder), data, string(files[path.Join(folder, signatureName)])) {
				c[bodies]++
			}
		case base == signatureName: // is read with its event
		case outputName.MatchString(base):
			c[outputs]++
			c[bytesKept] += int64(len(data))
		default:
			c[strays]++
		}
	}
	return example
}

// countOutputs counts the outputs that a manifest names: those that lie there as they were
// served, of which it returns one, and those that are gone at the provider.
func (p *plan) countOutputs(c counts, m manifest, files map[string][]byte) (example string) {
	pred := p.predictions[m.Prediction]
	for _, e := range m.Outputs {
		if e.N < 0 || e.N >= len(pred.outputs) {
			continue
		}
		o := pred.outputs[e.N]
		data, there := files[e.Key]
		switch {
		case e.Error != "":
			if o.fate == gone && e.Key == "" {
				c[goneNamed]++
			}
			continue
		case !there || sum(data) != e.SHA256 || sum(o.content()) != e.SHA256 || e.Bytes != int64(o.size):
			continue
		case pred.lost:
			c[lostOutput]++
		case o.fate == late: // it was refused at first, so the archive has asked again
			c[lateKept]++
		}
		c[checksums]++
		example = e.Key
	}
	return example
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
