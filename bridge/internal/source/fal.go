package source

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// fal is https://fal.ai by its pages on webhooks and on data retention: Ed25519 over the request,
// the user, the time and the hash of the body, with public keys that are fetched. Ten attempts
// come in two hours.
var fal = Kind{
	Name: "fal", Vendor: "ai.fal",
	Proof: &ed25519Keys{url: "https://rest.alpha.fal.ai/.well-known/jwks.json"},
	Body: Body{
		ID: []string{"/request_id"}, Status: []string{"/status"}, Outputs: []string{"/payload"}, Error: []string{"/payload/detail", "/error", "/payload_error"},
	},
	// The answer is what the model says, and nothing else.
	Answer:    Body{Outputs: []string{bridge.WholeBody}, Error: []string{"/detail"}},
	RetrySpan: 2 * time.Hour, Forgives: time.Hour,
	OutputHosts: []string{"fal.media", "*.fal.media"},
	API: API{
		BaseURL: "https://queue.fal.run", Result: []ResultPath{{"", "/{app}/requests/{id}"}}, Header: map[string]string{"Authorization": "Key {key}"},
		Open:   []int{400}, // while the request waits or runs
		Failed: []int{422}, // the model refuses its input
	},
}

// Headers of fal.
const (
	falRequest   = "X-Fal-Webhook-Request-Id"
	falUser      = "X-Fal-Webhook-User-Id"
	falTime      = "X-Fal-Webhook-Timestamp"
	falSignature = "X-Fal-Webhook-Signature"
)

// ed25519Keys is the proof of fal.
type ed25519Keys struct {
	url  string
	keys *keySet
}

var _ timed = (*ed25519Keys)(nil)

func (p *ed25519Keys) with(fetch FetchKeys) *ed25519Keys {
	return &ed25519Keys{url: p.url, keys: &keySet{url: p.url, fetch: fetch, now: time.Now, loading: make(chan struct{}, 1)}}
}

// Headers implements [Proof].
func (p *ed25519Keys) Headers() []string { return []string{falSignature, falTime, falRequest, falUser} }

// Verify implements [Proof]. The secrets are not used.
func (p *ed25519Keys) Verify(d *Delivery, _ [][]byte) error {
	text, ok := one(d.Proof, falSignature)
	signature, err := hex.DecodeString(text)
	at, _, timed := p.signedAt(d)
	if !ok || err != nil || len(signature) != ed25519.SignatureSize || !timed || !near(at, d.ReceivedAt, defaultTolerance) || p.keys == nil {
		return ErrNotAuthentic
	}
	m := falMessage(d.Proof, d.Body)
	return p.keys.try(func(key ed25519.PublicKey) bool { return ed25519.Verify(key, m, signature) })
}

// falMessage is what is signed.
func falMessage(proof bridge.Header, body []byte) []byte {
	sum := sha256.Sum256(body)
	var m []byte
	for _, name := range []string{falRequest, falUser, falTime} {
		value, _ := one(proof, name)
		m = append(append(m, value...), '\n')
	}
	return hex.AppendEncode(m, sum[:])
}

// signedAt implements [timed].
func (p *ed25519Keys) signedAt(d *Delivery) (time.Time, time.Duration, bool) {
	text, _ := one(d.Proof, falTime)
	at, ok := unixSeconds(text)
	return at, defaultTolerance, ok
}

// Sign implements [Proof]: the secret is the seed of the key.
func (p *ed25519Keys) Sign(m Message, secret []byte) (bridge.Header, error) {
	if len(secret) != ed25519.SeedSize {
		return nil, errors.New("the secret is not an Ed25519 seed of 32 bytes")
	}
	h := header(falRequest, m.ID, falUser, "user", falTime, strconv.FormatInt(m.At.Unix(), 10))
	h[falSignature] = []string{hex.EncodeToString(ed25519.Sign(ed25519.NewKeyFromSeed(secret), falMessage(h, m.Body)))}
	return h, nil
}

// CheckSecret implements [Proof].
func (p *ed25519Keys) CheckSecret([]byte) error {
	return errors.New("the sender signs with keys of its own: remove the secret")
}
