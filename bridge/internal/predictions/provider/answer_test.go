package provider

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestCodeOfABareOneIsItsTasks(t *testing.T) {
	t.Parallel()
	a, err := parseAnswer([]byte(`{"id":"a","status":"failed","code":1400,"error":"no"}`))
	require.NoError(t, err)
	require.False(t, a.failed())
	require.NotNil(t, a.object)
	a, err = parseAnswer([]byte(`{"id":"a","status":"failed","code":500,"data":null}`))
	require.NoError(t, err)
	require.True(t, a.failed(), "with data it is an envelope")
}

func FuzzParseAnswer(f *testing.F) {
	for _, s := range []string{
		`{"code":200,"message":"success","data":{"id":"a"}}`, ` {"id":"a","status":"b"} `, `{"code":"x","error":[],"data":[1]}`, `{"a":{"b":[{}]},"a":1}`, `{}`, `[`, `{"d`, `{"data":{}}x`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parseAnswer(body)
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatalf("%q is no JSON", body)
		}
		if a.object == nil {
			return
		}
		if a.object[0] != '{' || !json.Valid(a.object) || !bytes.Contains(body, a.object) {
			t.Fatalf("%q is no object in %q", a.object, body)
		}
		var whole struct {
			Data json.RawMessage `json:"data"`
		}
		_ = json.Unmarshal(body, &whole)
		if len(whole.Data) > 0 && a.object[0] == '{' && bytes.Contains(body, []byte(`"data"`)) && !bytes.Contains(bytes.ToLower(bytes.ReplaceAll(body, []byte(`"data"`), nil)), []byte("data")) &&
			!bytes.Equal(whole.Data, a.object) {
			t.Fatalf("%q is not the data of %q", a.object, body)
		}
	})
}

// However a stream is cut, its content is the same and holds no key.
func FuzzStream(f *testing.F) {
	f.Add("data: x\n\ndata: "+apiKey+"\n"+apiKey[:7]+"\n"+apiKey+apiKey, uint8(1))
	f.Fuzz(func(t *testing.T, text string, step uint8) {
		in := &stream{in: io.NopCloser(strings.NewReader(text)), key: []byte(apiKey), end: func() {}}
		var r io.Reader = in
		switch step % 3 {
		case 0:
			r = iotest.OneByteReader(in)
		case 1:
			in.in = io.NopCloser(iotest.OneByteReader(strings.NewReader(text)))
		}
		got, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if want := string(Censor([]byte(text), []byte(apiKey))); string(got) != want {
			t.Fatalf("%q instead of %q", got, want)
		}
	})
}
