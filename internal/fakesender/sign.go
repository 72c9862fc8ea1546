package fakesender

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// scheme is how a sender proves its webhooks. The zero scheme proves nothing.
type scheme struct {
	// header has the signature, time the seconds that are signed.
	header, time string
	sign         func(m Message, at string, secret []byte) (http.Header, error)
	// secretless: the sender has keys of its own, and secret is the seed of one.
	secretless bool
	// uncovered: the body is not signed.
	uncovered bool
	// private: the header holds the secret.
	private bool
}

// Signs reports whether something in a webhook proves its sender.
func (s *Sender) Signs() bool { return s.scheme.sign != nil }

// NeedsSecret reports whether the proof takes a secret that both sides know.
func (s *Sender) NeedsSecret() bool { return s.Signs() && !s.scheme.secretless }

// CoversBody reports whether the proof covers the body.
func (s *Sender) CoversBody() bool { return s.Signs() && !s.scheme.uncovered }

// SignatureHeader is the header of the signature, empty when there is none.
func (s *Sender) SignatureHeader() string { return s.scheme.header }

// Sign returns the headers of an attempt. The error says what is wrong with the secret.
func (s *Sender) Sign(m Message, secret []byte) (http.Header, error) {
	h := http.Header{}
	if s.Signs() {
		var err error
		if h, err = s.scheme.sign(m, strconv.FormatInt(m.At.Unix(), 10), secret); err != nil {
			return nil, err
		}
	}
	h.Set("Content-Type", "application/json")
	return h, nil
}

// Proved reports whether a stored signature, with the other headers that prove it, is that of the
// message, whose time does not count: it is what the headers say.
func (s *Sender) Proved(m Message, secret []byte, signature string, others map[string]string) bool {
	if !s.Signs() || s.scheme.private {
		return signature == "" && len(others) == 0
	}
	at := others[s.scheme.time]
	if rest, is := strings.CutPrefix(signature, "t="); is {
		at, _, _ = strings.Cut(rest, ",")
	}
	h, err := s.scheme.sign(m, at, secret)
	if err != nil || h.Get(s.scheme.header) != signature || len(h) != 1+len(others) {
		return false
	}
	for name, value := range others {
		if h.Get(name) != value {
			return false
		}
	}
	return true
}

// headers returns a header of pairs of a name and a value.
func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func mac(key []byte, parts ...string) []byte {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write([]byte(strings.Join(parts, ""))) // it never fails
	return m.Sum(nil)
}

// hexBody is the hex HMAC-SHA256 of the raw body, behind a prefix.
func hexBody(header, prefix string) scheme {
	return scheme{header: header, sign: func(m Message, _ string, secret []byte) (http.Header, error) {
		return headers(header, prefix+hex.EncodeToString(mac(secret, string(m.Body)))), nil
	}}
}

// whsec begins the secrets of Standard Webhooks.
const whsec = "whsec_"

// webhookHeaders are those of Standard Webhooks around a signature. The id is the same in each
// attempt.
func webhookHeaders(sign func(id, at string, body, secret []byte) (string, error)) scheme {
	return scheme{header: "Webhook-Signature", time: "Webhook-Timestamp", sign: func(m Message, at string, secret []byte) (http.Header, error) {
		id := "msg_" + m.Prediction
		signature, err := sign(id, at, m.Body, secret)
		return headers("Webhook-Id", id, "Webhook-Timestamp", at, "Webhook-Signature", signature), err
	}}
}

// standardWebhooks is https://www.standardwebhooks.com, version v1.
func standardWebhooks() scheme {
	return webhookHeaders(func(id, at string, body, secret []byte) (string, error) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(secret), whsec))
		if err != nil || len(key) == 0 {
			return "", errors.New("the secret of this kind is whsec_ and base64")
		}
		return "v1," + base64.StdEncoding.EncodeToString(mac(key, id, ".", at, ".", string(body))), nil
	})
}

// sharedSecret is the secret itself in a header.
func sharedSecret(header string) scheme {
	return scheme{header: header, uncovered: true, private: true, sign: func(_ Message, _ string, secret []byte) (http.Header, error) {
		return headers(header, string(secret)), nil
	}}
}

// falKeys is Ed25519 over the request, the user, the time and the hash of the body.
func falKeys() scheme {
	const prefix = "X-Fal-Webhook-"
	return scheme{header: prefix + "Signature", time: prefix + "Timestamp", secretless: true, sign: func(m Message, at string, seed []byte) (http.Header, error) {
		if len(seed) != ed25519.SeedSize {
			return nil, errors.New("the seed of an Ed25519 key has 32 bytes")
		}
		sum := sha256.Sum256(m.Body)
		text := strings.Join([]string{m.Prediction, "user_1", at, hex.EncodeToString(sum[:])}, "\n")
		signature := ed25519.Sign(ed25519.NewKeyFromSeed(seed), []byte(text))
		return headers(prefix+"Request-Id", m.Prediction, prefix+"User-Id", "user_1", prefix+"Timestamp", at, prefix+"Signature", hex.EncodeToString(signature)), nil
	}}
}

// keySet returns the JSON Web Key Set of a seed.
func keySet(seed []byte) []byte {
	public, _ := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	return encode(object{"keys": []object{{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(public)}}})
}

// signTask signs the id of the task in the body and the time, as kie.ai does.
func signTask(m Message, at string, secret []byte) (http.Header, error) {
	var body struct {
		Data struct {
			TaskID string `json:"taskId"`
		} `json:"data"`
	}
	_ = json.Unmarshal(m.Body, &body) // a broken one has none
	signature := base64.StdEncoding.EncodeToString(mac(secret, body.Data.TaskID, ".", at))
	return headers("X-Webhook-Timestamp", at, "X-Webhook-Signature", signature), nil
}

// NewSecret returns a secret for a sender that has keys of its own.
func NewSecret() []byte {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // it never fails
	return seed
}
