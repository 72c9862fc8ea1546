package pasted_test

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/pasted"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-that-must-not-be-seen"
	for text, want := range map[string]string{
		secret: "", "": "", "with a space": "", "pässword": "", "quote\"inside": "", `"`: "", "'tis": "",
		" " + secret: "white space", secret + " ": "white space", secret + "\n": "white space", "\t" + secret: "white space",
		secret + "\r\n": "white space", "\u00a0" + secret: "white space", "\n": "white space",
		`"` + secret + `"`: "quotes", "'" + secret + "'": "quotes", "`" + secret + "`": "quotes", "“" + secret + "”": "quotes",
		"a-secret\nthat-must": "line break", "a-secret\r\nthat": "line break", "a\tb": "line break", "a\u200bb": "invisible", "\ufeff" + secret: "invisible",
		"a\u00a0b": "invisible", "a\u2028b": "line break", "a\u202eb": "invisible",
		"whsec_" + secret: "", "v1,whsec_" + secret: "before whsec_", "secret=whsec_" + secret: "before whsec_", "whsec_whsec_" + secret: "before whsec_",
		"Bearer " + secret:          "Bearer",
		"\x00\x01 " + secret + "\n": "", "\xff " + secret + "\n": "",
	} {
		err := pasted.Check([]byte(text))
		if want == "" {
			require.NoError(t, err, "%q", text)
			continue
		}
		require.ErrorContains(t, err, want, "%q", text)
		require.NotContains(t, err.Error(), secret)
	}
}

// A random key is no text, whatever bytes it begins and ends with.
func TestRandomKeys(t *testing.T) {
	t.Parallel()
	for i := range 1000 {
		key := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		require.NoError(t, pasted.Check(key[:]))
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{"": "", "a": "a", "\xEF\xBB\xBFa": "a", "a\xEF\xBB\xBF": "a\xEF\xBB\xBF", "\xEF\xBB": "\xEF\xBB"} {
		text, err := pasted.Text([]byte(content))
		require.NoError(t, err)
		require.Equal(t, want, string(text))
	}
	for _, content := range []string{"\xFF\xFEa\x00", "\xFE\xFF\x00a", "\xFF\xFE\x00\x00a\x00\x00\x00"} {
		_, err := pasted.Text([]byte(content))
		require.ErrorContains(t, err, "save it as UTF-8")
	}
}
