package console

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func TestAShellReadsBackWhatWasQuoted(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"plain", "", "two words", "it's", `$(touch x) "\` + "`id`", "new\nline", "!x", "*", "https://a/b?c=d&e"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quote(word)).Output()
		require.NoError(t, err)
		require.Equal(t, word, string(out))
	}
}

func TestCurlSendsTheBodyAsItCame(t *testing.T) {
	t.Parallel()
	event := func(body string) *adminapi.EventDetail {
		return &adminapi.EventDetail{
			Header:  bridge.Header{"ce-signature": {"abc"}, "ce-datacontenttype": {"application/json"}},
			Content: adminapi.Content{Body: &body},
		}
	}
	body := "{\n\t\"say\": \"it's 12345678901234567890\"}"
	command := curl(event(body), "X-Signature")
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `curl() { for a; do printf '%s\0' "$a"; done; }; `+command).Output()
	require.NoError(t, err)
	require.Equal(t, []string{
		"-sS", "-X", "POST", localURL, "-H", "Content-Type: application/json", "-H", "X-Signature: abc", "--data-binary", body, "",
	}, strings.Split(string(out), "\x00"))

	require.Empty(t, curl(event(body), ""), "the source signs nothing")
	require.Empty(t, curl(event("{\"a\":\"\x1b[201~ rm\"}"), "X-Signature"), "it would act in a terminal")
	require.Empty(t, curl(event("{\"a\":\"\u009b201~ rm\"}"), "X-Signature"), "it would act in a terminal")
	require.Empty(t, curl(event(strings.Repeat("x", maxCurl+1)), "X-Signature"))
	unsigned := event(body)
	unsigned.Header = nil
	require.Empty(t, curl(unsigned, "X-Signature"))
}
