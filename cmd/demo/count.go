package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/signing"
)

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

// manifest is the part of the archive's manifest that is counted.
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

// countDisk counts every file of the archive against the plan, and returns the path of one
// output that is right.
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
