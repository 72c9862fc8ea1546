package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"path"
	"regexp"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

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
