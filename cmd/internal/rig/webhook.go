package rig

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/internal/sending"
	"github.com/hookspan/hookspan/internal/signing"
)

// What every rig has in common.
const (
	SourceName = "get3w"                             // the one source of a rig's bridges
	Secret     = "rig-secret-of-no-worth-0123456789" // what its webhooks are signed with
)

// Sign returns the right signature of a body.
func Sign(body []byte) string { return signing.Sign(body, []byte(Secret)) }

// Request is the HTTP request that posts a body. An empty signature is left out.
func Request(body []byte, signature string) []byte {
	proof := ""
	if signature != "" {
		proof = signing.Header + ": " + signature + "\r\n"
	}
	request := make([]byte, 0, len(body)+512)
	request = fmt.Appendf(request, "POST /webhooks/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: get3w-webhook/1.0\r\n"+
		"Accept: */*\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n", SourceName, len(body), proof)
	return append(request, body...)
}

// AnyID stands for the id of a webhook until its request gets one of its own.
const AnyID = "pred_0000000000000000"

// Pool holds signed HTTP requests, one behind the other and all of one length. It lies
// outside of Go's heap, so that the garbage collector works as often as it does in a
// program that has no such pool. [Pool.Take] is safe for concurrent use.
type Pool struct {
	Count int // how many of the requests are usable

	slab   []byte
	size   int    // of one request
	body   []byte // of the webhook whose id is AnyID
	serial uint64
	taken  atomic.Int64
}

// NewPool makes count requests of a webhook whose id is [AnyID], each with an id of its
// own, until the rig is closed.
func (r *Rig) NewPool(count int, w sending.Webhook) *Pool {
	p := &Pool{body: w.Body(), serial: rand.Uint64()}
	p.size = len(Request(p.body, Sign(p.body)))
	p.slab = Must(unix.Mmap(-1, 0, count*p.size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE))
	r.OnClose(func() error { return unix.Munmap(p.slab) })
	p.Renew(count)
	return p
}

// Renew makes the first count requests usable, at most all: each gets an id that none had
// before, with its signature.
func (p *Pool) Renew(count int) {
	p.Count = min(count, len(p.slab)/p.size)
	for i := range p.Count {
		p.serial++
		body := bytes.ReplaceAll(p.body, []byte(AnyID), fmt.Appendf(nil, "pred_%016x", p.serial))
		copy(p.Request(i), Request(body, Sign(body)))
	}
	p.taken.Store(0)
}

// Request is request i, which nobody may change.
func (p *Pool) Request(i int) []byte { return p.slab[i*p.size : (i+1)*p.size] }

// Body is the body of request i.
func (p *Pool) Body(i int) []byte { return p.Request(i)[p.size-len(p.body):] }

// ID is the prediction's id in request i.
func (p *Pool) ID(i int) string {
	return string(p.Body(i)[bytes.Index(p.body, []byte(AnyID)):][:len(AnyID)])
}

// Take returns the number of a request that nobody else has, or false when there is none
// left.
func (p *Pool) Take() (int, bool) {
	i := int(p.taken.Add(1)) - 1
	return i, i < p.Count
}
