package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

const (
	sourceName = "get3w"
	secretEnv  = "GET3W_WEBHOOK_SECRET"
	secret     = "chaos-secret-of-no-worth-0123456789"

	timeFormat = "2006-01-02T15:04:05.000Z"
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
	// run is in every id, so that an event of another run is known for one.
	run string
	// completed is when all the predictions ended.
	completed time.Time
	// outputs is the base address of their outputs.
	outputs string
	kind    source.Kind
	header  string // of a request, without its length and its signature
}

func newWriter(run, host, outputs string, completed time.Time) (*writer, error) {
	kind, err := source.KindOf("get3w")
	if err != nil {
		return nil, err
	}
	return &writer{
		run: run, completed: completed, outputs: outputs, kind: kind,
		header: "POST /webhooks/" + sourceName + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: get3w-webhook/1.0\r\nContent-Type: application/json\r\n",
	}, nil
}

// id is the prediction's.
func (w *writer) id(n int) string { return fmt.Sprintf("chaos_%s_%08d", w.run, n) }

// serial is the inverse of id, and false for an id that is not of this run.
func (w *writer) serial(id string) (int, bool) {
	digits, ok := strings.CutPrefix(id, "chaos_"+w.run+"_")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && w.id(n) == id
}

// body is the webhook, about 1.2 kB of it typically.
func (w *writer) body(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 0)) //nolint:gosec,nolintlint // the bytes must be the same each time
	id := w.id(n)
	fields := map[string]any{
		"id": id, "model": "get3w/flux-dev", "status": bridge.StatusCompleted,
		"input":        map[string]any{"prompt": prompt(r, n), "size": "1536x1024", "seed": n, "guidance_scale": 3.5},
		"urls":         map[string]any{"get": "https://api.get3w.com/api/v3/predictions/" + id},
		"timings":      map[string]int{"inference": 2500},
		"created_at":   w.completed.Add(-3 * time.Second).UTC().Format(timeFormat),
		"completed_at": w.completed.UTC().Format(timeFormat),
	}
	switch {
	case n%everyFailed == 1:
		fields["status"], fields["error"] = bridge.StatusFailed, "out of memory, tried "+strconv.Itoa(n)+" times"
	case n%everyCreated == 1:
		fields["status"] = bridge.StatusCreated
		delete(fields, "completed_at")
	default:
		fields["outputs"] = []string{w.outputs + id + "/0.png", w.outputs + id + "/1.png?expires=1&sig=a"}
	}
	body, err := json.Marshal(fields)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return body
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

// sign returns the value of the one header that proves a body.
func (w *writer) sign(body []byte) (name, value string) {
	name = w.kind.ProofHeaders()[0]
	return name, w.kind.Sign(body, []byte(secret)).Get(name)
}

// request is the whole HTTP request of webhook n.
func (w *writer) request(n int) []byte { return w.post(w.body(n)) }

func (w *writer) post(body []byte) []byte {
	name, proof := w.sign(body)
	request := make([]byte, 0, len(w.header)+len(body)+256)
	request = fmt.Appendf(request, "%sContent-Length: %d\r\n%s: %s\r\n\r\n", w.header, len(body), name, proof)
	return append(request, body...)
}
