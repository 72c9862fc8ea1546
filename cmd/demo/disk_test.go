package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func folderOf(id string) string { return "get3w/2026/01/02/" + id + "/" }

// testArchive is what the disk must hold.
func testArchive(t *testing.T, p *plan) fstest.MapFS {
	t.Helper()
	archive := fstest.MapFS{}
	for id, m := range testStream(p) {
		pred := p.predictions[id]
		if pred.failure != "" {
			continue
		}
		entries := []map[string]any{}
		for n, o := range pred.outputs {
			if o.fate == gone {
				entries = append(entries, map[string]any{"n": n, "bytes": 0, "error": "gone: 127.0.0.1 answered 410"})
				continue
			}
			key := fmt.Sprint(folderOf(id), n, o.name[strings.LastIndexByte(o.name, '.'):])
			archive[key] = &fstest.MapFile{Data: o.content()}
			entries = append(entries, map[string]any{"n": n, "key": key, "bytes": o.size, "sha256": sum(o.content())})
		}
		text, err := json.Marshal(map[string]any{"prediction": id, "outputs": entries})
		require.NoError(t, err)
		archive[folderOf(id)+manifestName] = &fstest.MapFile{Data: text}
		if pred.lost { // nobody signed what was asked for
			archive[folderOf(id)+eventName] = &fstest.MapFile{Data: m.body}
			continue
		}
		archive[folderOf(id)+eventName] = &fstest.MapFile{Data: m.body}
		archive[folderOf(id)+signatureName] = &fstest.MapFile{Data: []byte(m.header[headerSignature][0])}
	}
	return archive
}

func TestDiskCount(t *testing.T) {
	first := folderOf("pred_demo_01") // has one output, of 1 KiB
	edit := func(a fstest.MapFS, name, from, to string) {
		a[name] = &fstest.MapFile{Data: []byte(strings.Replace(string(a[name].Data), from, to, 1))}
	}
	for name, c := range map[string]struct {
		change func(a fstest.MapFS)
		want   func(c counts)
	}{
		"all right": {},
		"a byte of an output is another": {
			func(a fstest.MapFS) { a[first+"0.png"].Data[7]++ },
			func(c counts) { c[checksums] = 38 },
		},
		"an output is cut": {
			func(a fstest.MapFS) { a[first+"0.png"].Data = a[first+"0.png"].Data[:1000] },
			func(c counts) { c[checksums], c[bytesKept] = 38, c[bytesKept]-24 },
		},
		"an output is missing": {
			func(a fstest.MapFS) { delete(a, first+"0.png") },
			func(c counts) { c[outputs], c[checksums], c[bytesKept] = 38, 38, c[bytesKept]-1024 },
		},
		"file and manifest agree, but not with what was served": {
			func(a fstest.MapFS) {
				before := sum(a[first+"0.png"].Data)
				a[first+"0.png"].Data[7]++
				edit(a, first+manifestName, before, sum(a[first+"0.png"].Data))
			},
			func(c counts) { c[checksums] = 38 },
		},
		"a manifest has another length": {
			func(a fstest.MapFS) { edit(a, first+manifestName, `"bytes":1024`, `"bytes":1023`) },
			func(c counts) { c[checksums] = 38 },
		},
		"a manifest is missing": {
			func(a fstest.MapFS) { delete(a, first+manifestName) },
			func(c counts) { c[manifests], c[checksums] = 21, 38 },
		},
		"a manifest is half": {
			func(a fstest.MapFS) { a[first+manifestName].Data = a[first+manifestName].Data[:20] },
			func(c counts) { c[manifests], c[checksums], c[strays] = 21, 38, 1 },
		},
		"a prediction is there twice": {
			func(a fstest.MapFS) {
				for name, file := range maps.Clone(a) {
					if rest, ok := strings.CutPrefix(name, first); ok {
						a[strings.TrimSuffix(first, "/")+".0123456789abcdef/"+rest] = file
					}
				}
			},
			func(c counts) { c[manifests], c[outputs], c[checksums], c[bytesKept] = 23, 40, 40, c[bytesKept]+1024 },
		},
		"a failure that the provider is not to blame for": {
			func(a fstest.MapFS) {
				edit(a, folderOf("pred_demo_12")+manifestName, `"n":1`, `"n":2`) // which is there
			},
			func(c counts) { delete(c, goneNamed) },
		},
		"a body is another": {
			func(a fstest.MapFS) { edit(a, first+eventName, "2500", "2501") },
			func(c counts) { c[bodies] = 18 },
		},
		"a signature is missing": {
			func(a fstest.MapFS) { delete(a, first+signatureName) },
			func(c counts) { c[bodies] = 18 },
		},
		"an output of one whose webhook was lost is another": {
			func(a fstest.MapFS) { a[folderOf("pred_lost_1")+"0.png"].Data[7]++ },
			func(c counts) { c[checksums], c[lostOutput] = 38, 2 },
		},
		"a half file": {
			func(a fstest.MapFS) { a[first+"0.png.12ab.tmp"] = &fstest.MapFile{} },
			func(c counts) { c[strays] = 1 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := testPlan(t)
			archive, want := testArchive(t, p), only(p.want(), 3, lostOutput)
			if c.change != nil {
				c.change(archive)
				c.want(want)
			}
			got := counts{}
			require.NotEmpty(t, p.countDisk(got, archive))
			require.Equal(t, want, only(got, 3, lostOutput))
		})
	}
}
