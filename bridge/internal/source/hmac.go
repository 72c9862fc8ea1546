package source

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // an algorithm of senders that offer no other
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/jsonvalue"
)

// HMAC is a proof by a keyed hash, as nearly every sender makes it.
type HMAC struct {
	// Header has the signature, IDHeader and TimeHeader the message's id and the seconds since
	// 1970. The last two may be empty.
	Header, IDHeader, TimeHeader string
	// Signed is what is hashed: a text in which {id}, {time}, {body} and JSON pointers such as
	// {/data/taskId} stand for theirs. Default {body}.
	Signed string
	// Algorithm is sha256, the default, sha512 or sha1. Encoding is hex, the default, or base64.
	Algorithm, Encoding string
	// Prefix stands before each signature, such as sha256=. Separator stands between several
	// signatures, one of which suffices; without it there is exactly one. Parts with another
	// prefix are left out.
	Prefix, Separator string
	// TimePrefix marks the part of Header that is the time, instead of TimeHeader.
	TimePrefix string
	// Key is how a secret becomes the key: text, the default, is its bytes; base64 decodes what
	// follows whsec_; unprefixed is the text that follows whsec_.
	Key string
	// Tolerance is by how much the time and that of the receipt may differ.
	Tolerance time.Duration
}

// Choices of [HMAC].
var (
	Algorithms = []string{"sha256", "sha512", "sha1"}
	Encodings  = []string{"hex", "base64"}
	Keys       = []string{"text", "base64", "unprefixed"}
)

// secretPrefix begins the secrets of Standard Webhooks.
const secretPrefix = "whsec_"

// maxSignatures bounds the signatures of one delivery that are looked at.
const maxSignatures = 16

var _ timed = (*HMAC)(nil)

// Headers implements [Proof].
func (h *HMAC) Headers() []string { return canonical(h.Header, h.TimeHeader, h.IDHeader) }

// Verify implements [Proof].
func (h *HMAC) Verify(d *Delivery, secrets [][]byte) error {
	signatures, message, ok := h.read(d)
	if !ok || h.covers("{time}") && !near(message.At, d.ReceivedAt, h.Tolerance) {
		return ErrNotAuthentic
	}
	proved := false
	for _, secret := range secrets {
		key, err := h.key(secret)
		if err != nil {
			continue // CheckSecret has said so
		}
		mac := h.mac(message, key)
		for _, signature := range signatures {
			if hmac.Equal(mac, signature) {
				proved = true
			}
		}
	}
	if !proved {
		return ErrNotAuthentic
	}
	return nil
}

// signed is a message with its time as the sender wrote it.
type signed struct {
	Message

	time string
}

// read returns the signatures of a delivery and what they sign.
func (h *HMAC) read(d *Delivery) (signatures [][]byte, m signed, ok bool) {
	m = signed{Message: Message{Body: d.Body}}
	value, ok := one(d.Proof, canonical(h.Header)[0])
	if !ok {
		return nil, m, false
	}
	parts := []string{value}
	if h.Separator != "" {
		parts = strings.Split(value, h.Separator)
	}
	if len(parts) > maxSignatures {
		return nil, m, false
	}
	for _, part := range parts {
		if h.Separator != "" {
			part = strings.TrimSpace(part)
		}
		if at, is := strings.CutPrefix(part, h.TimePrefix); is && h.TimePrefix != "" {
			if m.time != "" {
				return nil, m, false // which one is signed?
			}
			m.time = at
			continue
		}
		text, is := strings.CutPrefix(part, h.Prefix)
		if !is {
			continue
		}
		if raw, err := h.decode(text); err == nil {
			signatures = append(signatures, raw)
		}
	}
	if h.TimeHeader != "" {
		m.time, _ = one(d.Proof, canonical(h.TimeHeader)[0])
	}
	if h.IDHeader != "" {
		if m.ID, ok = one(d.Proof, canonical(h.IDHeader)[0]); !ok || m.ID == "" {
			return nil, m, false
		}
	}
	if h.covers("{time}") {
		if m.At, ok = unixSeconds(m.time); !ok {
			return nil, m, false
		}
	}
	return signatures, m, len(signatures) > 0
}

func (h *HMAC) covers(part string) bool { return strings.Contains(h.Signed, part) }

func (h *HMAC) decode(text string) ([]byte, error) {
	if h.Encoding == "base64" {
		return base64.StdEncoding.Strict().DecodeString(text)
	}
	return hex.DecodeString(text)
}

func (h *HMAC) encode(mac []byte) string {
	if h.Encoding == "base64" {
		return base64.StdEncoding.EncodeToString(mac)
	}
	return hex.EncodeToString(mac)
}

func (h *HMAC) newHash() func() hash.Hash {
	switch h.Algorithm {
	case "sha512":
		return sha512.New
	case "sha1":
		return sha1.New
	}
	return sha256.New
}

// mac hashes what Signed says.
func (h *HMAC) mac(m signed, key []byte) []byte {
	mac := hmac.New(h.newHash(), key)
	if h.Signed == "" || h.Signed == "{body}" {
		mac.Write(m.Body)
		return mac.Sum(nil)
	}
	for rest := h.Signed; rest != ""; {
		literal, after, _ := strings.Cut(rest, "{")
		mac.Write([]byte(literal))
		var name string
		name, rest, _ = strings.Cut(after, "}")
		switch {
		case name == "body":
			mac.Write(m.Body)
		case name == "id":
			mac.Write([]byte(m.ID))
		case name == "time":
			mac.Write([]byte(m.time))
		case strings.HasPrefix(name, "/"):
			mac.Write([]byte(literalOf(jsonvalue.At(m.Body, name))))
		}
	}
	return mac.Sum(nil)
}

var errNotBase64 = errors.New("what follows whsec_ in the secret is not base64: copy it as the sender shows it")

func (h *HMAC) key(secret []byte) ([]byte, error) {
	switch h.Key {
	case "base64":
		text := strings.TrimPrefix(string(secret), secretPrefix)
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(key) == 0 {
			return nil, errNotBase64
		}
		return key, nil
	case "unprefixed":
		return bytes.TrimPrefix(secret, []byte(secretPrefix)), nil
	}
	return secret, nil
}

// CheckSecret implements [Proof].
func (h *HMAC) CheckSecret(secret []byte) error {
	_, err := h.key(secret)
	return err
}

// Sign implements [Proof].
func (h *HMAC) Sign(m Message, secret []byte) (bridge.Header, error) {
	key, err := h.key(secret)
	if err != nil {
		return nil, err
	}
	at := strconv.FormatInt(m.At.Unix(), 10)
	value := h.Prefix + h.encode(h.mac(signed{m, at}, key))
	if h.TimePrefix != "" {
		value = h.TimePrefix + at + h.Separator + value
	}
	names := canonical(h.Header)
	out := header(names[0], value)
	if h.TimeHeader != "" {
		out[canonical(h.TimeHeader)[0]] = []string{at}
	}
	if h.IDHeader != "" {
		out[canonical(h.IDHeader)[0]] = []string{m.ID}
	}
	return out, nil
}

// signedAt implements [timed].
func (h *HMAC) signedAt(d *Delivery) (time.Time, time.Duration, bool) {
	if !h.covers("{time}") {
		return d.ReceivedAt, h.Tolerance, true
	}
	_, m, _ := h.read(d)
	return m.At, h.Tolerance, !m.At.IsZero()
}

// check returns an error that names what is wrong.
func (h *HMAC) check() error {
	switch {
	case h.Header == "":
		return errors.New("signature.header: say which header has the signature")
	case h.covers("{time}") && h.TimeHeader == "" && h.TimePrefix == "":
		return errors.New("signature.signed has {time}: say in signature.time_header where it stands, or in signature.time_prefix")
	case h.TimePrefix != "" && h.Separator == "":
		return errors.New("signature.time_prefix: say in signature.separator what stands between the parts of the header")
	case h.covers("{id}") && h.IDHeader == "":
		return errors.New("signature.signed has {id}: say in signature.id_header where it stands")
	}
	for rest := h.Signed; ; {
		_, after, more := strings.Cut(rest, "{")
		if !more {
			return nil
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed || name != "body" && name != "id" && name != "time" && !strings.HasPrefix(name, "/") {
			return fmt.Errorf("signature.signed has {%s: use {body}, {id}, {time} and JSON pointers such as {/data/id}", name)
		}
		rest = behind
	}
}
