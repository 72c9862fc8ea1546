package bridge

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var legalToken = regexp.MustCompile(`^[A-Za-z0-9_=-]{1,64}$`)

func TestEncodeToken(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 65)
	for in, want := range map[string]string{
		"":                      "=",
		"flux-1.1-pro":          "flux-1=2E1-pro",
		"*":                     "=2A",
		">":                     "=3E",
		"..":                    "=2E=2E",
		"a b":                   "a=20b",
		"\x00":                  "=00",
		"=":                     "=3D",
		"é":                     "=C3=A9",
		"completed":             "completed",
		strings.Repeat("x", 64): strings.Repeat("x", 64),
		long:                    strings.Repeat("x", 47) + "=-9537c5fdf120482",
	} {
		require.Equal(t, want, EncodeToken(in), "%q", in)
	}
}

func TestDecodeTokenRefusesWhatIsNeverEncoded(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"", "a.b", "=2e", "=41", "=2", "a=", "*", strings.Repeat("x", 65)} {
		_, err := DecodeToken(token)
		require.Error(t, err, "%q", token)
		require.NotErrorIs(t, err, ErrShortened)
	}
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{"", "a", "*", ">", "..", "a//b", "\x00", "🙂", strings.Repeat("é", 100), "=-", "=2E"} {
		f.Add(s, s+"x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		ta, tb := EncodeToken(a), EncodeToken(b)
		if !legalToken.MatchString(ta) {
			t.Fatalf("%q gives the illegal token %q", a, ta)
		}
		if (ta == tb) != (a == b) {
			t.Fatalf("%q and %q give %q and %q", a, b, ta, tb)
		}
		got, err := DecodeToken(ta)
		if errors.Is(err, ErrShortened) {
			if len(ta) != tokenBytes {
				t.Fatalf("%q is shortened to %d bytes", a, len(ta))
			}
			return
		}
		if err != nil || got != a {
			t.Fatalf("%q comes back as %q, %v", a, got, err)
		}
	})
}

func FuzzDecodeToken(f *testing.F) {
	f.Add("flux-1=2E1-pro")
	f.Add("=")
	f.Fuzz(func(t *testing.T, token string) {
		if s, err := DecodeToken(token); err == nil && EncodeToken(s) != token {
			t.Fatalf("%q decodes to %q, which encodes to %q", token, s, EncodeToken(s))
		}
	})
}
