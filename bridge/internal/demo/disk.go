package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
)

// Names of the files that lie beside the outputs of a prediction.
const (
	manifestName  = "manifest.json"
	eventName     = "event.json"
	signatureName = "event.signature"
)

var outputName = regexp.MustCompile(`^[0-9]+\.(png|mp4)$`)

// diskCounts is what the archive holds.
type diskCounts struct {
	manifests int
	// bodies is how many events lie there as they were signed.
	bodies  int
	outputs int
	bytes   int64
	// checksums is how many outputs are what the file server served, in length
	// and SHA-256, and are named so by their manifest.
	checksums int
	// late is how many of these were answered 503 at first.
	late int
	// lost is how many are of predictions whose webhook was lost.
	lost int
	// gone is how many outputs are missing, named by their manifest, and the
	// provider does not have them any more.
	gone int
	// strays is how many files are none of these, such as half ones.
	strays int
}

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

// diskCount counts files against the plan.
type diskCount struct {
	plan    *plan
	secret  []byte
	wasLate func(name string) bool
	counts  diskCounts
	// sums has the SHA-256 of every output, by its path.
	sums      map[string]string
	manifests []manifest
	// example is the path of one output that is right.
	example string
}

func newDiskCount(p *plan, secret string, wasLate func(name string) bool) *diskCount {
	return &diskCount{plan: p, secret: []byte(secret), wasLate: wasLate, sums: map[string]string{}}
}

// walk reads every file of the archive.
func (c *diskCount) walk(archive fs.FS) error {
	err := fs.WalkDir(archive, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return c.file(archive, name)
	})
	if err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	return nil
}

func (c *diskCount) file(archive fs.FS, name string) error {
	data, err := fs.ReadFile(archive, name)
	if err != nil {
		return err
	}
	switch base := path.Base(name); {
	case base == manifestName:
		c.manifest(data)
	case base == eventName:
		signature, err := fs.ReadFile(archive, path.Join(path.Dir(name), signatureName))
		signed := c.plan.bodies[path.Base(path.Dir(name))]
		if err == nil && bytes.Equal(data, signed) && verifies(data, string(signature), c.secret) {
			c.counts.bodies++
		}
	case base == signatureName: // is read with its event
	case outputName.MatchString(base):
		c.counts.outputs++
		c.counts.bytes += int64(len(data))
		c.sums[name] = sum(data)
	default:
		c.counts.strays++
	}
	return nil
}

// manifest keeps a manifest for later. One that cannot be read is a half file.
func (c *diskCount) manifest(data []byte) {
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		c.counts.strays++
		return
	}
	c.counts.manifests++
	c.manifests = append(c.manifests, m)
}

// result compares what the manifests say with what walk has found.
func (c *diskCount) result() diskCounts {
	counts := c.counts
	for _, m := range c.manifests {
		pred := c.plan.predictions[m.Prediction]
		planned := pred.outputs
		for _, e := range m.Outputs {
			if e.N < 0 || e.N >= len(planned) {
				continue
			}
			o := planned[e.N]
			if e.Error != "" {
				if o.fate == gone && e.Key == "" {
					counts.gone++
				}
				continue
			}
			found, there := c.sums[e.Key]
			if !there || found != e.SHA256 || found != sum(o.content()) || e.Bytes != int64(o.size) {
				continue
			}
			counts.checksums++
			if c.wasLate(o.name) {
				counts.late++
			}
			if pred.lost {
				counts.lost++
			}
			c.example = cmp.Or(c.example, e.Key)
		}
	}
	return counts
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
