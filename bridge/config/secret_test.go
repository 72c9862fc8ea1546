package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const sampleSecret = "a-secret-that-must-not-be-seen"

// A configuration that an editor saved with a byte order mark is read, with either kind of
// line breaks; one in UTF-16 is refused with what to do.
func TestConfigWithAByteOrderMark(t *testing.T) {
	t.Parallel()
	const text = "# ours\nlog: {level: debug}\nconsumers:\n  archive: {enabled: false}\n"
	for _, marked := range []string{"\xEF\xBB\xBF" + text, "\xEF\xBB\xBF" + strings.ReplaceAll(text, "\n", "\r\n"), strings.ReplaceAll(text, "\n", "\r\n"), "\xEF\xBB\xBF" + strings.TrimPrefix(text, "# ours\n")} {
		cfg, err := Load(write(t, marked))
		require.NoError(t, err, "%q", marked)
		require.Equal(t, "debug", cfg.Log.Level)
		require.Empty(t, cfg.Consumers)
	}
	cfg, err := Load(write(t, "\xEF\xBB\xBF"))
	require.NoError(t, err)
	require.Equal(t, "info", cfg.Log.Level)
	_, err = Load(write(t, "\xEF\xBB\xBFlog: {}\nlgo: {}\n"))
	require.ErrorContains(t, err, `:2:1: "lgo" is not a key here`)
	for _, utf16 := range []string{"\xFF\xFEl\x00o\x00g\x00", "\xFE\xFF\x00l\x00o\x00g"} {
		path := write(t, utf16)
		_, err := Load(path)
		require.ErrorContains(t, err, path+": it is saved as UTF-16: save it as UTF-8")
	}
}

// The line break and byte order mark that editors add to a secret's file are left out.
func TestSecretFileOfAnEditor(t *testing.T) {
	t.Parallel()
	for _, content := range []string{sampleSecret, sampleSecret + "\n", sampleSecret + "\r\n", "\xEF\xBB\xBF" + sampleSecret, "\xEF\xBB\xBF" + sampleSecret + "\r\n"} {
		got, err := SecretRef("file:" + write(t, content)).Resolve(nil)
		require.NoError(t, err, "%q", content)
		require.Equal(t, sampleSecret, string(got))
	}
	path := write(t, "\xFF\xFEs\x00")
	_, err := SecretRef("file:" + path).Resolve(nil)
	require.ErrorContains(t, err, path+": it is saved as UTF-16")
}

// A secret that was pasted with something around it is refused, in a variable and in a file.
func TestPastedSecrets(t *testing.T) {
	t.Parallel()
	for text, want := range pastedSecrets(sampleSecret) {
		getenv := func(string) (string, bool) { return text, true }
		for _, ref := range []SecretRef{"env:A", SecretRef("file:" + write(t, text))} {
			_, err := ref.Resolve(getenv)
			require.ErrorContains(t, err, want, "%q", text)
			require.ErrorContains(t, err, string(ref))
			require.NotContains(t, err.Error(), sampleSecret)
		}
	}
}

// pastedSecrets are a secret as it is pasted, with a word of the hint.
func pastedSecrets(secret string) map[string]string {
	return map[string]string{
		" " + secret: "white space", secret + " ": "white space", secret + "\n\n": "white space", "\t" + secret: "white space",
		`"` + secret + `"`: "quotes", "'" + secret + "'": "quotes", "“" + secret + "”": "quotes",
		secret[:12] + "\n" + secret[12:]: "line break", secret[:12] + "\u200b" + secret[12:]: "invisible",
		"v1,whsec_" + secret: "before whsec_", "SECRET=whsec_" + secret: "before whsec_",
	}
}
