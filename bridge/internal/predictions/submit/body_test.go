package submit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
)

func TestInspect(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`{}`: false, `{"stream":true}`: true, `{"stream":null}`: false, `{"a":{"stream":true}}`: false, ` {"x":[1,2],"stream" : true} `: true, `{"stream":false}`: false,
	} {
		stream, err := inspect([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, want, stream, body)
	}
}

func TestWebhookURL(t *testing.T) {
	t.Parallel()
	sub := adminapi.Submission{Source: "get3w", Reference: "r", Metadata: map[string]string{"tenant": "of the metadata", "not-allowed": "x"}, Tenant: "t"}
	for want, s := range map[string]Source{
		"https://x/h/webhooks/get3w":                                  {},
		"https://x/h/webhooks/get3w/tok":                              {PathToken: []byte("tok"), Query: []string{"nothing"}},
		"https://x/h/webhooks/get3w?reference=r":                      {Query: []string{"reference"}},
		"https://x/h/webhooks/get3w?ref=r&tenant=of%20the%20metadata": {Query: []string{"ref", "none", "tenant"}},
	} {
		require.Equal(t, want, webhookURL("https://x/h", &sub, s))
	}
}

func FuzzWithWebhook(f *testing.F) {
	for _, body := range []string{`{}`, " {\n} ", `{"a":1.00,"b":[{"c":null}]}`, `{"":""}`, `{"webhook_url":1}`, `{"a":1}x`} {
		f.Add([]byte(body), "https://x/webhooks/get3w?a=%20&b=\"")
	}
	f.Fuzz(func(t *testing.T, body []byte, address string) {
		if _, err := inspect(body); err != nil {
			return
		}
		out, err := withWebhook(body, address)
		if err != nil {
			return // the address is no UTF-8
		}
		if _, err := inspect(out); err != errWebhook { //nolint:errorlint // it is that one
			t.Fatalf("%q: %v", out, err)
		}
		before, after := map[string]json.RawMessage{}, map[string]json.RawMessage{}
		if err := json.Unmarshal(body, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &after); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal(after[webhookMember], &got); err != nil || got != address {
			t.Fatalf("%q instead of %q: %v", got, address, err)
		}
		delete(after, webhookMember)
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q", body, out)
		}
		at := bytes.IndexByte(body, '{') + 1
		if !bytes.HasPrefix(out, body[:at]) || !bytes.HasSuffix(out, body[at:]) {
			t.Fatalf("%q became %q", body, out)
		}
	})
}
