package source

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/signing"
)

const written = "the-secret-of-the-sender"

// signedBy is a delivery of body with a signature of signed.
func signedBy(key, signed, body string) Delivery {
	return Delivery{Proof: sign([]byte(signed), []byte(key)), Body: []byte(body), ReceivedAt: received}
}

func with(d Delivery, values ...string) Delivery {
	d.Proof = bridge.Header{signing.Header: values}
	return d
}

func TestDiagnose(t *testing.T) {
	t.Parallel()
	const text = `{"id":"a","status":"failed","error":"<é & 😀>","u":"https://x/y","n":1.50}`
	good := signedBy(written, text, text)
	mac := good.Proof.Get(signing.Header)
	raw, err := hex.DecodeString(mac)
	require.NoError(t, err)
	base := base64.StdEncoding.EncodeToString(raw)
	other := signedBy("another secret", text, text)
	rawOther, err := hex.DecodeString(other.Proof.Get(signing.Header))
	require.NoError(t, err)
	long := strings.Repeat("x", 4<<20)

	for _, c := range []struct {
		name    string
		secret  string // as it is configured
		d       Delivery
		cause   Cause
		explain string
	}{
		{"no secret", "", good, CauseNoSecret, "set sources.get3w.secrets"},
		{"no header", written, with(good), CauseNoSignature, "missing"},
		{"empty header", written, with(good, " "), CauseNoSignature, "missing"},
		{"two headers", written, with(good, mac, mac), CauseSeveralSignatures, "came more than once"},
		{"cut off", written, with(good, mac[:32]), CauseWrongLength, "32 characters instead of 64"},
		{"SHA-512", written, with(good, mac+mac), CauseWrongLength, "128 characters"},
		{"not hex", written, with(good, strings.Repeat("x", 64)), CauseNotHex, "hexadecimal"},
		{"base64", written, with(good, base), CauseLooksBase64, "is right, but"},
		{"base64 of something else", written, with(good, base64.RawURLEncoding.EncodeToString(rawOther)), CauseLooksBase64, "another secret or body too"},
		{"sha256=", written, with(good, "sha256="+mac), CauseSignaturePrefix, "is right but for"},
		{"v1, and base64", written, with(good, "v1,"+base), CauseSignaturePrefix, "is right but for"},
		{"quotes", written, with(good, `"`+mac+`"`), CauseSignaturePrefix, "is right but for"},
		{"sha256= of something else", written, with(good, "sha256="+hex.EncodeToString(rawOther)), CauseSignaturePrefix, "another secret or body too"},
		{"our line break", written + "\n", good, CauseSecretSpace, "a line break around it that the sender does not have"},
		{"our space", " " + written, good, CauseSecretSpace, "sender does not have"},
		{"sender's line break", written, signedBy(written+"\n", text, text), CauseSecretSpace, "remove it there"},
		{"sender's Windows line break", written, signedBy(written+"\r\n", text, text), CauseSecretSpace, "remove it there"},
		{"our prefix", "whsec_" + written, good, CauseSecretPrefix, "without the prefix"},
		{"our quotes", `"` + written + `"`, good, CauseSecretPrefix, "without the prefix or the quotes"},
		{"our quotes and line break", `"` + written + "\"\n", good, CauseSecretPrefix, "quotes"},
		{"sender's prefix", written, signedBy("whsec_"+written, text, text), CauseSecretPrefix, "as the sender has it"},
		{"sender's quotes", written, signedBy("'"+written+"'", text, text), CauseSecretPrefix, "as the sender has it"},
		{"encoded in base64", base64.StdEncoding.EncodeToString([]byte(written)), good, CauseSecretEncoded, "write it decoded"},
		{"encoded in base64 with a prefix", "whsec_" + base64.StdEncoding.EncodeToString([]byte(written)), good, CauseSecretEncoded, "write it decoded"},
		{"encoded in hex", hex.EncodeToString([]byte(written)), good, CauseSecretEncoded, "write it decoded"},
		{"retired", written, signedBy("the-old-secret", text, text), CauseRetiredSecret, "put the old one back"},
		{"retired and sha256=", written, with(good, "sha256="+signedBy("the-old-secret", text, text).Proof.Get(signing.Header)), CauseRetiredSecret, "put the old one back"},
		{"byte order mark", written, signedBy(written, text, "\xef\xbb\xbf"+text), CauseBodyChanged, "byte order mark"},
		{"line break added", written, signedBy(written, text, text+"\n"), CauseBodyChanged, "white space"},
		{"line break cut", written, signedBy(written, text+"\n", text), CauseBodyChanged, "line break at its end"},
		{"Windows line breaks", written, signedBy(written, "{\n}", "{\r\n}"), CauseBodyChanged, "Windows"},
		{"written anew", written, signedBy(written, `{"a":  1}`, `{"a":1}`), CauseWrongSignature, "writes the body anew"},
		{"another secret", written, other, CauseWrongSignature, "letter by letter"},
		{"another body", written, signedBy(written, text, strings.Replace(text, "failed", "faile", 1)), CauseWrongSignature, "letter by letter"},
		{"not JSON", written, signedBy(written, "a", "b"), CauseWrongSignature, "letter by letter"},
		{"4 MiB", written, signedBy("another secret", long, long), CauseWrongSignature, "letter by letter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := New(Config{Name: "get3w", Kind: "get3w", Secrets: [][]byte{[]byte(c.secret)}, Retired: [][]byte{nil, []byte("the-old-secret")}})
			require.NoError(t, err)
			_, err = s.Accept(c.d)
			require.ErrorIs(t, err, ErrNotAuthentic)
			cause, detail := s.Diagnose(c.d)
			require.Equal(t, c.cause, cause, detail)
			require.Contains(t, detail, c.explain)
			require.LessOrEqual(t, len(detail), bridge.MaxKeptText)
			for _, hidden := range []string{written, "the-old-secret", mac, base, base64.StdEncoding.EncodeToString([]byte(written))} {
				require.NotContains(t, detail, hidden)
			}
			require.Equal(t, string(cause), bridge.EncodeToken(string(cause)))
		})
	}
}

// Upper-case hexadecimal is a valid signature.
func TestUpperCaseSignatureIsAccepted(t *testing.T) {
	t.Parallel()
	d := delivery(documented)
	_, err := newSource(t, secret).Accept(with(d, strings.ToUpper(d.Proof.Get(signing.Header))))
	require.NoError(t, err)
}

// A retired secret is diagnosed and proves nothing.
func TestRetiredSecretAcceptsNothing(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Name: "get3w", Kind: "get3w", Retired: [][]byte{secret}})
	require.NoError(t, err)
	require.False(t, s.HasSecret())
	_, err = s.Accept(delivery(documented))
	require.ErrorIs(t, err, ErrNotAuthentic)
}

func TestHolds(t *testing.T) {
	t.Parallel()
	s, err := New(Config{
		Name: "get3w", Kind: "get3w",
		Secrets: [][]byte{[]byte("long-enough\n"), []byte("short")}, Retired: [][]byte{[]byte("retired-one")},
	})
	require.NoError(t, err)
	for text, want := range map[string]bool{
		"Bearer long-enough;": true, "x retired-one": true, "short": true,
		"shorter": false, "": false, "long-enoug": false,
	} {
		require.Equal(t, want, s.Holds(text), text)
	}
}

// An operator may accept a stale delivery, and nothing else.
func TestAnyAge(t *testing.T) {
	t.Parallel()
	d := delivery(documented)
	d.ReceivedAt = d.ReceivedAt.Add(48 * time.Hour)
	s := newSource(t, secret)
	_, err := s.Accept(d)
	require.ErrorContains(t, err, string(CauseStale))
	d.AnyAge = true
	e, err := s.Accept(d)
	require.NoError(t, err)
	require.Equal(t, d.ReceivedAt, e.ReceivedAt)
	d.Body = append(d.Body, ' ')
	_, err = s.Accept(d)
	require.ErrorIs(t, err, ErrNotAuthentic)
}

func BenchmarkDiagnoseForgery(b *testing.B) {
	for name, size := range map[string]int{"1k": 1 << 10, "64k": 63 << 10, "4M": 4 << 20} {
		text := `{"id":"a","error":"` + strings.Repeat(`x/é\n`, size/6) + `","status":"failed"}`
		d := signedBy("another secret", text, text)
		s := newSource(b, secret)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s.Diagnose(d)
			}
		})
	}
}
