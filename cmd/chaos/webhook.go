package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// One webhook in so many is large, is not about success, or has text of all kinds.
const (
	everyLarge   = 100
	everyFailed  = 9
	everyCreated = 17
	everyUnicode = 7

	largeText   = 64 << 10
	typicalText = 620
)

// letters are what prompts are made of; the second set has what is hard to carry:
// quotes, escapes, other scripts, joined and combined characters, separators.
var (
	letters = []rune("abcdefghijklmnopqrstuvwxyz      ,.")
	unicode = []rune("aé ß漢字かな한글עברית العربية🌊👩‍🚀\u0301\u2028\u2029\u200f\u0000\u001f\t\n\r\\\"/<>&'%\x7f\ufffd\U0010ffff")
)

// writer writes the webhooks of one run. Everything about one follows from its
// serial number, so that what was stored can be compared without keeping what was
// sent. It is safe for concurrent use.
type writer struct {
	// prefix begins every id, so that an event of another run is known for one.
	prefix string
	// completed is when prediction n ended.
	completed func(n int) time.Time
	// outputs is the base address of their outputs.
	outputs string
}

func newWriter() *writer {
	now := time.Now()
	return &writer{
		prefix: fmt.Sprintf("chaos_%08x_", rand.Uint32()), outputs: "https://cdn.get3w.com/outputs/",
		completed: func(int) time.Time { return now },
	}
}

// id is the prediction's.
func (w *writer) id(n int) string { return fmt.Sprintf("%s%08d", w.prefix, n) }

// serial is the inverse of id, and false for an id that is not of this run.
func (w *writer) serial(id string) (int, bool) {
	digits, ok := strings.CutPrefix(id, w.prefix)
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && w.id(n) == id
}

// webhook n has a body of about 1.2 kB typically.
func (w *writer) webhook(n int) rig.Webhook {
	r := rand.New(rand.NewPCG(uint64(n), 0)) //nolint:gosec,nolintlint // the bytes must be the same each time
	hook := rig.NewWebhook(w.id(n), "get3w/flux-dev", bridge.StatusCompleted, w.completed(n))
	hook.Input = map[string]any{"prompt": prompt(r, n), "size": "1536x1024", "seed": n, "guidance_scale": 3.5}
	switch {
	case n%everyFailed == 1:
		hook.Status, hook.Error = bridge.StatusFailed, "out of memory, tried "+strconv.Itoa(n)+" times"
	case n%everyCreated == 1:
		hook.Status, hook.CompletedAt = bridge.StatusCreated, ""
	default:
		hook.Outputs = []string{w.outputs + hook.ID + "/0.png", w.outputs + hook.ID + "/1.png?expires=1&sig=a"}
	}
	return hook
}

func (w *writer) body(n int) []byte { return w.webhook(n).Body() }

// request is the whole HTTP request of webhook n.
func (w *writer) request(n int) []byte {
	body := w.body(n)
	return rig.Request(body, rig.Sign(body))
}

func prompt(r *rand.Rand, n int) string {
	size, set := typicalText/2+r.IntN(typicalText), letters
	if n%everyUnicode == 1 {
		set = unicode
	}
	if n%everyLarge == 1 {
		size = largeText
	}
	var text strings.Builder
	for text.Len() < size {
		text.WriteRune(set[r.IntN(len(set))])
	}
	return text.String()
}
