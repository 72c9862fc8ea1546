package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

const (
	sourceName = "get3w"
	secret     = "bench-secret-of-no-worth-0123456789"
	idDigits   = 16
	// anyID stands for the id until a request gets its own.
	anyID = "pred_0000000000000000"
)

// webhook is a delivery as the provider documents it, about 1.2 kB.
type webhook struct {
	ID          string         `json:"id"`
	Model       string         `json:"model"`
	Status      string         `json:"status"`
	Input       map[string]any `json:"input"`
	Outputs     []string       `json:"outputs,omitempty"`
	Error       string         `json:"error,omitempty"`
	URLs        map[string]any `json:"urls"`
	Timings     map[string]int `json:"timings"`
	CreatedAt   string         `json:"created_at"`
	CompletedAt string         `json:"completed_at"`
}

const timeFormat = "2006-01-02T15:04:05.000Z"

func newWebhook(status string, outputs []string, problem string, completed time.Time) webhook {
	const prompt = "A lighthouse on a cliff above a stormy sea at dusk, painted in thick oil, warm light in its window, " +
		"gulls around the gallery, waves breaking white on black rocks, low clouds torn by the wind, the last red of the sun on the horizon. " +
		"No people, no boats, no text. Wide shot from the water, slightly from below, the lighthouse in the right third of the picture, visible brush strokes. " +
		"Muted blues and greys, one warm accent, the mood of an old postcard that somebody kept for years in a drawer."
	return webhook{
		ID: anyID, Model: "get3w/flux-dev", Status: status, Outputs: outputs, Error: problem,
		Input:   map[string]any{"prompt": prompt, "size": "1536x1024", "num_images": 3, "guidance_scale": 3.5, "seed": 421337, "output_format": "png"},
		URLs:    map[string]any{"get": "https://api.get3w.com/api/v3/predictions/" + anyID},
		Timings: map[string]int{"inference": 2500},

		CreatedAt:   completed.Add(-3 * time.Second).UTC().Format(timeFormat),
		CompletedAt: completed.UTC().Format(timeFormat),
	}
}

func completedWebhook() webhook {
	const cdn = "https://cdn.get3w.com/outputs/2024/01/01/3f6f7a52-0c1d-4d1e-9d5e-1b2c3d4e5f60/"
	return newWebhook(bridge.StatusCompleted, []string{cdn + "image-0.png", cdn + "image-1.png", cdn + "image-2.png"}, "", time.Now())
}

func failedWebhook() webhook {
	const problem = "The model ran out of memory on the worker while it was decoding the latents of image 3 of 3; the task was tried twice on two workers " +
		"and ended in the same way. Ask for fewer or smaller pictures, or try again later. Nothing was charged for this task."
	return newWebhook(bridge.StatusFailed, nil, problem, time.Now())
}

// pool holds signed HTTP requests, one behind the other and all of one length. It
// lies outside of Go's heap, so that the garbage collector works as often as it
// does in a bridge that has no such pool.
type pool struct {
	slab      []byte
	size      int   // of one request
	count     int   // of those that are usable
	body      int   // where the body begins in a request
	signature int   // where the signature begins
	ids       []int // where the digits of the id begin

	kind   source.Kind
	serial uint64
	// again lets take begin again at its end instead of ending.
	again bool
	taken atomic.Int64
}

// newPool makes room for count requests. They are usable after renew.
func newPool(count int, w webhook) (*pool, error) {
	kind, err := source.KindOf("get3w")
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encoding a webhook: %w", err)
	}
	header := fmt.Sprintf("POST /webhooks/%s HTTP/1.1\r\nHost: hooks.example.com\r\nUser-Agent: get3w-webhook/1.0\r\n"+
		"Accept: */*\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s: ", sourceName, len(body), kind.ProofHeaders()[0])
	request := header + kind.Sign(body, []byte(secret)).Get(kind.ProofHeaders()[0]) + "\r\n\r\n"
	p := &pool{count: count, body: len(request), signature: len(header), kind: kind, serial: rand.Uint64()}
	request += string(body)
	p.size = len(request)
	for from := p.body; ; {
		at := bytes.Index([]byte(request[from:]), []byte(anyID))
		if at < 0 {
			break
		}
		from += at + len(anyID)
		p.ids = append(p.ids, from-idDigits)
	}
	if p.slab, err = unix.Mmap(-1, 0, count*p.size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE); err != nil {
		return nil, fmt.Errorf("making room for %d requests: %w", count, err)
	}
	for i := range count {
		copy(p.request(i), request)
	}
	return p, nil
}

func (p *pool) close() error {
	if err := unix.Munmap(p.slab); err != nil {
		return fmt.Errorf("giving back the room of requests: %w", err)
	}
	return nil
}

// renew makes the first count requests usable, at most all: it gives each an id
// that none had before, with its signature.
func (p *pool) renew(count int) {
	p.count = min(count, len(p.slab)/p.size)
	for i := range p.count {
		p.serial++
		request := p.request(i)
		digits := fmt.Appendf(nil, "%0*x", idDigits, p.serial)
		for _, at := range p.ids {
			copy(request[at:], digits)
		}
		copy(request[p.signature:], p.proof(i).Get(p.kind.ProofHeaders()[0]))
	}
	p.taken.Store(0)
}

func (p *pool) request(i int) []byte { return p.slab[i*p.size : (i+1)*p.size] }

func (p *pool) bodyOf(i int) []byte { return p.request(i)[p.body:] }

func (p *pool) id(i int) string {
	return string(p.request(i)[p.ids[0]+idDigits-len(anyID):][:len(anyID)])
}

func (p *pool) proof(i int) bridge.Header { return p.kind.Sign(p.bodyOf(i), []byte(secret)) }

// take returns the number of a request that nobody else has, or false when there
// is none left.
func (p *pool) take() (int, bool) {
	i := int(p.taken.Add(1)) - 1
	if p.again {
		return i % p.count, true
	}
	return i, i < p.count
}
