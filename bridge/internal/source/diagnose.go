package source

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Why a delivery is not authentic, as far as Diagnose can find out.
const (
	CauseNoSecret          Cause = "no_secret"          // no secret is configured
	CauseNoSignature       Cause = "no_signature"       // the signature header is missing or empty
	CauseSeveralSignatures Cause = "several_signatures" // the signature header came more than once
	CauseWrongLength       Cause = "wrong_length"       // too short or too long for a signature
	CauseNotHex            Cause = "not_hex"            // characters that no signature has
	CauseLooksBase64       Cause = "looks_base64"       // base64 instead of hexadecimal
	CauseSignaturePrefix   Cause = "signature_prefix"   // something such as sha256= before the signature
	CauseSecretSpace       Cause = "secret_whitespace"  // made with the secret plus or minus white space
	CauseSecretPrefix      Cause = "secret_prefix"      // made with the secret plus or minus a prefix or quotes
	CauseSecretEncoded     Cause = "secret_encoded"     // made with the secret, decoded from base64 or hex
	CauseRetiredSecret     Cause = "retired_secret"     // made with a secret that is no longer accepted
	CauseBodyChanged       Cause = "body_changed"       // white space or a byte order mark was added to the body or removed from it, or its JSON was written anew
	CauseNoTime            Cause = "no_timestamp"       // the signed time or id is missing, or comes twice, or is no time
	CauseTimeOutside       Cause = "timestamp_outside"  // rightly signed, too long before or after the receipt
	CauseWrongSignature    Cause = "wrong_signature"    // nothing of the above
)

// maxHashed bounds the bytes that one diagnosis hashes, since anybody can cause one.
const maxHashed = 8 << 20

// maxHashedAlone bounds the bytes that one diagnosis hashes that an operator asks for.
const maxHashedAlone = 8 << 30

// Diagnose says why d is not authentic, for the operator and never for the sender. The
// cause is one token; the detail says what to do and holds neither a secret nor a
// signature. Call it for a delivery that [Source.Accept] has refused. It takes a few
// hundredths of a second at most and accepts nothing.
func (s *Source) Diagnose(d Delivery) (cause Cause, detail string) { return s.diagnose(d, maxHashed) }

// DiagnoseFully is [Source.Diagnose] that takes as long as it needs, for large bodies.
func (s *Source) DiagnoseFully(d Delivery) (cause Cause, detail string) {
	return s.diagnose(d, maxHashedAlone)
}

func (s *Source) diagnose(d Delivery, room int) (cause Cause, detail string) {
	names := s.kind.ProofHeaders()
	switch {
	case s.kind.NoWebhook:
		return CauseWrongSignature, fmt.Sprintf("the provider of kind %s sends no webhooks: somebody else posts to this URL", s.kind.Name)
	case !s.HasSecret():
		return CauseNoSecret, fmt.Sprintf("no secret is configured: set %s", s.place)
	case len(names) == 0:
		return CauseWrongSignature, fmt.Sprintf("it cannot be read as a webhook of kind %s, and nothing else proves who sent it", s.kind.Name)
	}
	for i, name := range names {
		if cause, detail := cameOnce(d.Proof, name, i == 0); cause != "" {
			return cause, detail
		}
	}
	t := &trial{proof: s.kind.Proof, delivery: d, name: names[0], room: room}
	if cause, detail := s.signedTime(t); cause != "" {
		return cause, detail
	}
	size := s.hexSize()
	if cause, detail := s.match(t, d.Body, size); cause != "" {
		return cause, detail
	}
	return s.shape(names[0], d.Proof[names[0]][0], size)
}

// cameOnce says what is wrong with the number of a header that proves a delivery.
func cameOnce(proof bridge.Header, name string, signature bool) (Cause, string) {
	values := proof[name]
	missing := len(values) == 0 || len(values) == 1 && strings.TrimSpace(values[0]) == ""
	switch {
	case missing && signature:
		return CauseNoSignature, fmt.Sprintf("the header %s is missing: the request was not signed, or something on its way removes the header", name)
	case missing:
		return CauseNoTime, fmt.Sprintf("the header %s is missing, which the signature covers: something on its way removes it, or the source is of another kind", name)
	case len(values) > 1:
		return CauseSeveralSignatures, fmt.Sprintf("the header %s came more than once: something on its way adds one", name)
	}
	return "", ""
}

// signedTime says what is wrong with the time that the signature covers. It lets the trial go on at
// that time.
func (s *Source) signedTime(t *trial) (Cause, string) {
	p, is := s.kind.Proof.(timed)
	if !is {
		return "", ""
	}
	at, tolerance, ok := p.signedAt(&t.delivery)
	if !ok {
		return CauseNoTime, "the signed time is missing or is not written as whole seconds since 1970"
	}
	received := t.delivery.ReceivedAt
	if near(at, received, tolerance) {
		return "", ""
	}
	t.delivery.ReceivedAt = at
	if !t.fits(t.delivery.Proof.Get(t.name), t.delivery.Body, s.secrets...) {
		return "", ""
	}
	return CauseTimeOutside, fmt.Sprintf("the signature is right, but of %v before the receipt, and %v either way are accepted: the clock of this machine is wrong, or somebody sends a captured request again",
		received.Sub(at).Round(time.Second), tolerance)
}

// hexSize is the length of a signature that is the bare hexadecimal of a hash, 0 for other kinds.
func (s *Source) hexSize() int {
	h, is := s.kind.Proof.(*HMAC)
	if !is || h.Encoding == "base64" || h.Prefix != "" || h.Separator != "" {
		return 0
	}
	return hex.EncodedLen(h.newHash()().Size())
}

// trial tries combinations of signatures, secrets and bodies until it has hashed room bytes.
type trial struct {
	proof    Proof
	delivery Delivery
	name     string
	room     int
}

func (t *trial) fits(signature string, body []byte, secrets ...[]byte) bool {
	const hashing = 64 // bytes that hashing a secret adds
	usable := notEmpty(secrets)
	usable = usable[:min(len(usable), t.room/(len(body)+hashing))]
	if len(usable) == 0 {
		return false
	}
	t.room -= len(usable) * (len(body) + hashing)
	d := t.delivery
	d.Body, d.Proof = body, maps.Clone(d.Proof)
	d.Proof[t.name] = []string{signature}
	return t.proof.Verify(&d, usable) == nil
}

// match searches for a changed secret, signature or body that makes the delivery authentic.
// A signature of this kind has size characters; 0 is for kinds that write more than hexadecimal.
func (s *Source) match(t *trial, body []byte, size int) (Cause, string) {
	came := t.delivery.Proof[t.name][0]
	if size == 0 {
		if cause, detail := s.matchSecret(t, came, body); cause != "" {
			return cause, detail
		}
		return s.matchBody(t, came, body)
	}
	bare, wrapped := unwrap(came)
	for _, signature := range []string{bare, fromBase64(bare)} {
		if len(signature) != size {
			continue
		}
		if cause, detail := s.matchSecret(t, signature, body); cause != "" {
			return cause, detail
		}
		if signature == came || !t.fits(signature, body, s.secrets...) {
			continue
		}
		if wrapped {
			return CauseSignaturePrefix, fmt.Sprintf("the signature is right but for what stands around it in %s: is this source of another kind?", t.name)
		}
		return CauseLooksBase64, fmt.Sprintf("the signature is right, but written in base64: the sender must write %s in hexadecimal", t.name)
	}
	return s.matchBody(t, bare, body)
}

// matchBody searches for a changed body that makes the delivery authentic.
func (s *Source) matchBody(t *trial, bare string, body []byte) (Cause, string) {
	for _, change := range bodyChanges {
		if t.room > len(body) && t.fits(bare, change.undo(body), s.secrets...) {
			return CauseBodyChanged, "the signature is that of the same body " + change.name + ": something on its way changes the body; it must pass it on byte for byte"
		}
	}
	return s.matchWriting(t, bare, body)
}

// bodyChanges undo what proxies do to bodies.
var bodyChanges = []struct {
	name string
	undo func(body []byte) []byte
}{
	{"without the byte order mark", func(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) }},
	{"without white space around it", bytes.TrimSpace},
	{"with a line break at its end", func(body []byte) []byte { return append(bytes.TrimSpace(bytes.Clone(body)), '\n') }},
	{"with the line breaks of Windows", func(body []byte) []byte { return bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n")) }},
	{"without the line breaks of Windows", func(body []byte) []byte { return bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")) }},
}

// matchSecret searches for a secret that differs a little from a configured one.
func (s *Source) matchSecret(t *trial, signature string, body []byte) (Cause, string) {
	if t.fits(signature, body, s.retired...) {
		return CauseRetiredSecret, fmt.Sprintf("it was signed with a retired secret: give the sender the current one, or put the old one back into %s", s.place)
	}
	for _, secret := range s.secrets {
		for _, v := range variants(secret) {
			if t.fits(signature, body, v.secrets...) {
				return v.cause, fmt.Sprintf(v.detail, s.place)
			}
		}
	}
	return "", ""
}

// variant is a common mistake with secrets.
type variant struct {
	cause   Cause
	detail  string
	secrets [][]byte
}

// Prefixes that people write before secrets or signatures.
var (
	secretPrefixes    = []string{"whsec_", "sha256=", "Bearer ", "secret_", "sk_"}
	signaturePrefixes = []string{"sha256=", "hmac-sha256=", "v1=", "v1,", "hex="}
)

func variants(secret []byte) []variant {
	var space, cut, added [][]byte
	trimmed := bytes.TrimSpace(secret)
	if len(trimmed) != len(secret) {
		space = append(space, trimmed)
	}
	var behind [][]byte
	for _, end := range []string{"\n", "\r\n", " ", "\r"} {
		behind = append(behind, append(bytes.Clone(trimmed), end...))
	}
	for _, p := range secretPrefixes {
		if rest, ok := bytes.CutPrefix(trimmed, []byte(p)); ok {
			cut = append(cut, rest)
		}
		added = append(added, append([]byte(p), trimmed...))
	}
	for _, q := range []string{`"`, `'`, "`"} {
		added = append(added, []byte(q+string(trimmed)+q))
		if inner, ok := bytes.CutPrefix(trimmed, []byte(q)); ok {
			cut = append(cut, bytes.TrimSuffix(inner, []byte(q)))
		}
	}
	return []variant{
		{CauseSecretSpace, "the secret in %s has white space or a line break around it that the sender does not have: remove it", space},
		{CauseSecretSpace, "the sender signs with the secret of %s and white space or a line break behind it: remove it there", behind},
		{CauseSecretPrefix, "the sender signs with the secret of %s without the prefix or the quotes around it: remove them here", cut},
		{CauseSecretPrefix, "the sender signs with the secret of %s and a prefix or quotes around it: write the secret as the sender has it", added},
		{CauseSecretEncoded, "the sender signs with what the secret of %s is once it is decoded from base64 or hexadecimal: write it decoded", decoded(trimmed)},
	}
}

// decoded returns the secret's bytes for each encoding that it could be in.
func decoded(secret []byte) [][]byte {
	text := string(secret)
	for _, p := range secretPrefixes {
		text = strings.TrimPrefix(text, p)
	}
	var out [][]byte
	if raw, err := hex.DecodeString(text); err == nil {
		out = append(out, raw)
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		if raw, err := enc.DecodeString(text); err == nil {
			out = append(out, raw)
		}
	}
	return out
}

// unwrap strips what people put around a signature.
func unwrap(signature string) (bare string, wrapped bool) {
	bare = strings.Trim(signature, " \t\"'")
	for _, p := range signaturePrefixes {
		if len(bare) > len(p) && strings.EqualFold(bare[:len(p)], p) {
			bare = strings.Trim(bare[len(p):], ` "`)
			break
		}
	}
	return bare, bare != signature
}

// fromBase64 returns a base64 signature as hexadecimal, or "".
func fromBase64(signature string) string {
	if len(signature) > bridge.MaxSignature {
		return ""
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if raw, err := enc.DecodeString(signature); err == nil {
			return hex.EncodeToString(raw)
		}
	}
	return ""
}

// shape judges a signature by its looks alone; a signature of this kind has size
// characters.
func (s *Source) shape(name, came string, size int) (Cause, string) {
	if size == 0 {
		return s.wrong()
	}
	bare, wrapped := unwrap(came)
	switch {
	case len(bare) == size && wrapped:
		return CauseSignaturePrefix, fmt.Sprintf("something stands around the signature in %s: is this source of another kind? It is of another secret or body too", name)
	case len(fromBase64(bare)) == size:
		return CauseLooksBase64, fmt.Sprintf("%s looks like base64: the sender must write it in hexadecimal; it is of another secret or body too", name)
	case len(bare) != size:
		return CauseWrongLength, fmt.Sprintf("%s has %d characters instead of %d: it is cut off, or made by another algorithm", name, len(came), size)
	}
	if _, err := hex.DecodeString(bare); err != nil {
		return CauseNotHex, fmt.Sprintf("%s has characters that are not hexadecimal", name)
	}
	return s.wrong()
}

func (s *Source) wrong() (Cause, string) {
	if !s.kind.NeedsSecret() {
		return CauseWrongSignature, "no key of the sender made this signature: see whether something on the way writes the body anew, or somebody else posts to this URL"
	}
	return CauseWrongSignature, fmt.Sprintf("no secret of %s made this signature: compare it with the sender's, letter by letter, and see whether something on the way writes the body anew, or somebody else posts to this URL", s.place)
}
