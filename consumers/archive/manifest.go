package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

const manifestFormat = 1

// manifest lists what is stored of an event. It is written last, so everything that it lists
// exists.
type manifest struct {
	Format     int              `json:"format"`
	Event      string           `json:"event"`
	Source     string           `json:"source"`
	Prediction string           `json:"prediction"`
	Model      string           `json:"model"`
	Status     string           `json:"status"`
	Signature  string           `json:"signature"`
	ArchivedAt time.Time        `json:"archived_at"`
	Outputs    []manifestOutput `json:"outputs"`
}

// manifestOutput is one output in a manifest: stored, with a key and a checksum, or missing,
// with an error. With all three the stored output is damaged.
type manifestOutput struct {
	N int `json:"n"`
	// URL is the whole address with its query. An output that was no address has none.
	URL         string `json:"url,omitempty"`
	Key         string `json:"key,omitempty"`
	Bytes       int64  `json:"bytes"`
	ContentType string `json:"content_type,omitempty"`
	// ClaimedType is the type that the sender named, SniffedType that of the first bytes. Both
	// are set when they disagree.
	ClaimedType string `json:"claimed_type,omitempty"`
	SniffedType string `json:"sniffed_type,omitempty"`
	// Coding lists the codings that the output is stored in, such as "gzip": a reader must undo
	// them.
	Coding   string    `json:"content_encoding,omitempty"`
	SHA256   string    `json:"sha256,omitempty"`
	StoredAt time.Time `json:"stored_at,omitzero"`
	Error    string    `json:"error,omitempty"`
}

func newManifest(ev *bridge.Event, outputs []manifestOutput) *manifest {
	return &manifest{
		Format:     manifestFormat,
		Event:      ev.ID,
		Source:     ev.Source,
		Prediction: ev.PredictionID,
		Model:      ev.Model,
		Status:     ev.Status,
		Signature:  ev.Signature,
		ArchivedAt: time.Now().UTC(),
		Outputs:    outputs,
	}
}

func (m *manifest) failed() bool {
	return slices.ContainsFunc(m.Outputs, func(o manifestOutput) bool { return o.Error != "" })
}

// find returns the manifest's output n, if it was stored under the key. The manifest may be nil.
func (m *manifest) find(n int, key string) (manifestOutput, bool) {
	if m == nil || n >= len(m.Outputs) || m.Outputs[n].Key != key {
		return manifestOutput{}, false
	}
	return m.Outputs[n], true
}

// encode does not escape the '&' of addresses, so that people can paste them.
func (m *manifest) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		return nil, fmt.Errorf("encoding manifest: %w", err)
	}
	return b.Bytes(), nil
}

var errNewerManifest = errors.New("was written by a newer version: run that one")

func decodeManifest(data []byte) (*manifest, error) {
	m := &manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, err
	}
	if m.Format > manifestFormat {
		return nil, fmt.Errorf("format %d %w", m.Format, errNewerManifest)
	}
	return m, nil
}
