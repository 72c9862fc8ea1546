package source

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// standard is any sender that signs as https://www.standardwebhooks.com says and writes its
// predictions as Get3W does, or as sources.<name>.body says.
var standard = Kind{
	Name: "standard", Vendor: "com.standardwebhooks",
	Proof: newStandard(),
	Body:  common, Answer: common,
	RetrySpan: 10 * time.Minute,
}

// common is how most senders write a prediction.
var common = Body{
	ID: []string{"/id"}, Model: []string{"/model"}, Status: []string{"/status"}, Outputs: []string{"/outputs", "/output"}, Error: []string{"/error"},
	CreatedAt: []string{"/created_at"}, CompletedAt: []string{"/completed_at"},
}

// Standard is Standard Webhooks 1.0: v1 is HMAC-SHA256, v1a is Ed25519. A secret is whsec_ and the
// base64 of a key for v1, or whpk_ and the base64 of a public key for v1a. To sign by v1a, whsk_
// and the base64 of the private key's seed.
type Standard struct{ HMAC }

const (
	publicPrefix  = "whpk_"
	privatePrefix = "whsk_"
	versionPublic = "v1a,"
)

func newStandard() *Standard {
	return &Standard{HMAC{
		Header: "Webhook-Signature", IDHeader: "Webhook-Id", TimeHeader: "Webhook-Timestamp", Signed: "{id}.{time}.{body}",
		Encoding: "base64", Prefix: "v1,", Separator: " ", Key: "base64", Tolerance: defaultTolerance,
	}}
}

// Verify implements [Proof].
func (s *Standard) Verify(d *Delivery, secrets [][]byte) error {
	public := false
	for _, secret := range secrets {
		public = public || strings.HasPrefix(string(secret), publicPrefix)
	}
	if !public {
		return s.HMAC.Verify(d, secrets)
	}
	err := s.HMAC.Verify(d, secrets)
	if err != nil && s.verifyPublic(d, secrets) {
		return nil
	}
	return err
}

// verifyPublic reports whether one of the public keys proves the delivery.
func (s *Standard) verifyPublic(d *Delivery, secrets [][]byte) bool {
	other := s.HMAC
	other.Prefix = versionPublic
	signatures, m, ok := other.read(d)
	if !ok || !near(m.At, d.ReceivedAt, s.Tolerance) {
		return false
	}
	text := publicMessage(m)
	for _, secret := range secrets {
		key, err := publicKey(secret)
		if err != nil {
			continue
		}
		for _, signature := range signatures {
			if ed25519.Verify(key, text, signature) {
				return true
			}
		}
	}
	return false
}

func publicMessage(m signed) []byte {
	return append([]byte(m.ID+"."+m.time+"."), m.Body...)
}

var errNotPublicKey = errors.New("what follows whpk_ in the secret is not the base64 of an Ed25519 public key of 32 bytes")

func publicKey(secret []byte) (ed25519.PublicKey, error) {
	text, is := strings.CutPrefix(string(secret), publicPrefix)
	if !is {
		return nil, errNotPublicKey
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, errNotPublicKey
	}
	return key, nil
}

// CheckSecret implements [Proof].
func (s *Standard) CheckSecret(secret []byte) error {
	if strings.HasPrefix(string(secret), publicPrefix) {
		_, err := publicKey(secret)
		return err
	}
	return s.HMAC.CheckSecret(secret)
}

// Sign implements [Proof].
func (s *Standard) Sign(m Message, secret []byte) (bridge.Header, error) {
	text, is := strings.CutPrefix(string(secret), privatePrefix)
	if !is {
		return s.HMAC.Sign(m, secret)
	}
	seed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("what follows whsk_ in the secret is not the base64 of an Ed25519 seed of 32 bytes")
	}
	h, err := s.HMAC.Sign(m, []byte(secretPrefix+text)) // for the other headers
	if err != nil {
		return nil, err
	}
	at, _ := one(h, canonical(s.TimeHeader)[0])
	signature := ed25519.Sign(ed25519.NewKeyFromSeed(seed), publicMessage(signed{m, at}))
	h[canonical(s.Header)[0]] = []string{versionPublic + base64.StdEncoding.EncodeToString(signature)}
	return h, nil
}
