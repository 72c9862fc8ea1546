package console

import (
	"net/url"
	"path"
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

// output is one output of a prediction.
type output struct {
	bridge.OutputState

	// N counts from 0.
	N int
}

// Outputs are those that the bridge remembers.
func (d predictionData) Outputs() (out []output) {
	for i, o := range d.Prediction.Outputs {
		out = append(out, output{o, i})
	}
	return out
}

// Stored reports whether an archive has it.
func (o output) Stored() bool { return o.Custody == bridge.CustodyStored }

// Show is how a browser shows it: "image", "video", "audio", or "" for a link. SVG and HTML could
// act, so they are links.
func (o output) Show() string {
	kind, form, _ := strings.Cut(strings.ToLower(o.ContentType), "/")
	switch {
	case !o.Stored() || strings.HasPrefix(form, "svg"):
	case kind == "image", kind == "video", kind == "audio":
		return kind
	}
	return ""
}

// Name is the last part of the address that the provider gave it.
func (o output) Name() string {
	u, err := url.Parse(o.URL)
	if err != nil || strings.Trim(u.Path, "/") == "" {
		return "output " + count(o.N)
	}
	return path.Base(u.Path)
}

// Host is where the provider has it.
func (o output) Host() string {
	u, err := url.Parse(o.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// shortType is what an output is, in a word: "png" of "image/png".
func shortType(contentType string) string {
	kind, _, _ := strings.Cut(contentType, ";")
	if _, form, ok := strings.Cut(kind, "/"); ok {
		form, _, _ = strings.Cut(form, "+")
		return strings.TrimPrefix(strings.TrimSpace(form), "x-")
	}
	return "file"
}
