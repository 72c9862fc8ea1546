package source

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/needs"
)

// The vectors are what providers publish: of Standard Webhooks and Replicate in the tests of
// replicate-go, of OpenAI in those of openai-go, of GitHub on its page about validating webhooks.
func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]struct {
		kind, secret, body string
		at                 int64
		proof              bridge.Header
	}{
		"Standard Webhooks": {
			"standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", `{"test": 2432232314}`, 1614265330,
			bridge.Header{"Webhook-Id": {"msg_p5jXN8AQM9LWM0D4loKWxJek"}, "Webhook-Timestamp": {"1614265330"}, "Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}},
		},
		"OpenAI": {
			"openai", "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",
			`{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}`, 1750861210,
			bridge.Header{"Webhook-Id": {"wh_685c059ae39c8190af8c71ed1022a24d"}, "Webhook-Timestamp": {"1750861210"}, "Webhook-Signature": {"v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY="}},
		},
		"GitHub": {
			"github", "It's a Secret to Everybody", "Hello, World!", 0,
			bridge.Header{"X-Hub-Signature-256": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}},
		},
	} {
		k, err := KindOf(v.kind)
		require.NoError(t, err)
		d := &Delivery{Proof: v.proof, Body: []byte(v.body), ReceivedAt: time.Unix(v.at, 0)}
		require.NoError(t, k.Proof.Verify(d, [][]byte{[]byte(v.secret)}), name)
		d.Body = append(d.Body, ' ')
		require.ErrorIs(t, k.Proof.Verify(d, [][]byte{[]byte(v.secret)}), ErrNotAuthentic, name)
	}
}

// signedByOthers is a webhook that a program of somebody else has signed.
type signedByOthers struct {
	Kind    string            `json:"kind"`
	Secret  string            `json:"secret"`
	Body    string            `json:"body"`
	At      int64             `json:"at"`
	Headers map[string]string `json:"headers"`
}

// Other implementations sign what ours verify: the reference library of Standard Webhooks, GitHub's
// own, and Python's hmac and Node's crypto by the words of the other providers.
func TestOthersSign(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		program []string
		needs   []string
		signs   []string
	}{
		{[]string{"python3", "sign.py"}, []string{"python3"}, []string{"wavespeed", "bfl", "baseten", "elevenlabs", "kie", "hmac"}},
		{[]string{"node", "sign.mjs"}, []string{"node", "npm"}, []string{"fal", "standard", "github"}},
	} {
		t.Run(c.program[0], func(t *testing.T) {
			t.Parallel()
			needs.Programs(t, c.needs...)
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/node")))
			require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/python")))
			if c.program[0] == "node" {
				install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
				install.Dir = dir
				out, err := install.CombinedOutput()
				require.NoError(t, err, string(out))
			}
			cmd := exec.CommandContext(t.Context(), c.program[0], c.program[1])
			cmd.Dir = dir
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			require.NoError(t, err)
			var signs []string
			for line := range strings.Lines(string(out)) {
				var w signedByOthers
				require.NoError(t, json.Unmarshal([]byte(line), &w))
				signs = append(signs, w.Kind)
				proof := bridge.Header{}
				for name, value := range w.Headers {
					proof[canonical(name)[0]] = []string{value}
				}
				cfg := Config{Name: "a", Kind: w.Kind, Options: samples(t)[w.Kind].options}
				if w.Kind == "fal" {
					cfg.FetchKeys = falKeys(w.Secret)
				} else {
					cfg.Secrets = [][]byte{[]byte(w.Secret)}
				}
				src, err := New(cfg)
				require.NoError(t, err)
				d := Delivery{Proof: proof, Body: []byte(w.Body), ReceivedAt: time.Unix(w.At, 0), AnyAge: true}
				_, err = src.Accept(d)
				require.NoError(t, err, "%s, %s", w.Kind, strconv.Quote(w.Body))
				d.Body = []byte(strings.Replace(w.Body, "é", "e", 1))
				if w.Kind != "kie" {
					_, err = src.Accept(d)
					require.ErrorIs(t, err, ErrNotAuthentic, w.Kind)
				}
			}
			require.Equal(t, c.signs, signs)
		})
	}
}

// falKeys returns the document that has the public key.
func falKeys(x string) FetchKeys {
	return func(context.Context, string) ([]byte, error) {
		return []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + x + `"}]}`), nil
	}
}
