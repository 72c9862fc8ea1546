package source

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/signing"
)

var (
	secret   = []byte("It's a Secret to Everybody")
	received = time.Date(2024, 1, 1, 12, 0, 4, 0, time.UTC)
)

const documented = `{"id":"pred_abc123","model":"get3w/flux-dev","status":"completed",
 "outputs":["https://cdn.get3w.com/outputs/image-xxxxx.png"],
 "timings":{"inference":2500},
 "created_at":"2024-01-01T12:00:00.000Z","completed_at":"2024-01-01T12:00:03.000Z"}`

func newSource(t testing.TB, secrets ...[]byte) *Source {
	t.Helper()
	s, err := New(Config{Name: "get3w", Kind: "get3w", Secrets: secrets, MaxAge: time.Hour})
	require.NoError(t, err)
	return s
}

// sign returns the proof of Get3W.
func sign(body, secret []byte) bridge.Header {
	return bridge.Header{signing.Header: {signing.Sign(body, secret)}}
}

func delivery(body string) Delivery {
	return Delivery{
		Proof: sign([]byte(body), secret), Body: []byte(body),
		ContentType: "application/json", ReceivedAt: received, Origin: bridge.OriginWebhook,
	}
}

func TestAcceptDocumentedWebhook(t *testing.T) {
	t.Parallel()
	d := delivery(documented)
	d.Query = map[string]string{"ref": "order-7"}
	e, err := newSource(t, secret).Accept(d)
	require.NoError(t, err)
	require.Equal(t, &bridge.Event{
		ID:           "pred_abc123/completed/" + digest(t, `["completed",["https://cdn.get3w.com/outputs/image-xxxxx.png"],null]`),
		Source:       "get3w",
		Type:         "com.get3w.prediction.completed.v1",
		PredictionID: "pred_abc123",
		Model:        "get3w/flux-dev",
		Status:       "completed",
		RawStatus:    "completed",
		Origin:       "webhook",
		Time:         time.Date(2024, 1, 1, 12, 0, 3, 0, time.UTC),
		ReceivedAt:   received,
		ContentType:  "application/json",
		Signature:    d.Proof.Get("X-Get3w-Signature"),
		Query:        map[string]string{"ref": "order-7"},
		Body:         []byte(documented),
	}, e)
}

func digest(t *testing.T, meaning string) string {
	t.Helper()
	_, after, _ := strings.Cut(bridge.NewEventID("", "", []byte(meaning)), "//")
	require.Len(t, after, 16)
	return after
}

func TestKnownVector(t *testing.T) {
	t.Parallel()
	const want = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	require.Equal(t, want, sign([]byte("Hello, World!"), secret).Get(signing.Header))
	require.NoError(t, get3w.Proof.Verify(&Delivery{Proof: bridge.Header{signing.Header: {want}}, Body: []byte("Hello, World!")}, [][]byte{secret}))
}

func TestNotAuthentic(t *testing.T) {
	t.Parallel()
	good := delivery(documented).Proof.Get(signing.Header)
	flipped, err := hex.DecodeString(good)
	require.NoError(t, err)
	flipped[31] ^= 1
	for name, values := range map[string][]string{
		"none":       nil,
		"empty":      {""},
		"twice":      {good, good},
		"flipped":    {hex.EncodeToString(flipped)},
		"short":      {good[:62]},
		"long":       {good + "00"},
		"odd":        {good[:63]},
		"not hex":    {strings.Repeat("g", 64)},
		"prefixed":   {"sha256=" + good},
		"with space": {" " + good[:63]},
	} {
		d := delivery(documented)
		d.Proof = bridge.Header{signing.Header: values}
		_, err := newSource(t, secret).Accept(d)
		require.ErrorIs(t, err, ErrNotAuthentic, name)
	}
	d := delivery(documented)
	d.Body = []byte(strings.Replace(documented, "2500", "2501", 1))
	_, err = newSource(t, secret).Accept(d)
	require.ErrorIs(t, err, ErrNotAuthentic)
}

// Everybody knows the empty secret.
func TestNoSecretAcceptsNothing(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][][]byte{nil, {nil}, {{}}} {
		s := newSource(t, secrets...)
		require.False(t, s.HasSecret())
		d := delivery(documented)
		for _, proof := range []bridge.Header{nil, sign(d.Body, nil), sign(d.Body, secret)} {
			d.Proof = proof
			_, err := s.Accept(d)
			require.ErrorIs(t, err, ErrNotAuthentic)
		}
	}
}

func TestSeveralSecrets(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][][]byte{{secret, []byte("new")}, {[]byte("new"), secret}, {{}, secret}} {
		_, err := newSource(t, secrets...).Accept(delivery(documented))
		require.NoError(t, err)
	}
	_, err := newSource(t, []byte("new"), []byte("newer")).Accept(delivery(documented))
	require.ErrorIs(t, err, ErrNotAuthentic)
}

func TestUnusable(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`[`, 64) + strings.Repeat(`]`, 64)
	for _, c := range []struct {
		name, body string
		cause      Cause
	}{
		{"empty", ``, CauseSyntax},
		{"null", `null`, CauseSyntax},
		{"list", `[{"id":"a","status":"completed"}]`, CauseSyntax},
		{"string", `"x"`, CauseSyntax},
		{"cut off", `{"id":"a","status":"compl`, CauseSyntax},
		{"trailing data", `{"id":"a","status":"completed"} {}`, CauseSyntax},
		{"trailing brace", `{"id":"a","status":"completed"}}`, CauseSyntax},
		{"byte order mark", "\ufeff" + `{"id":"a","status":"completed"}`, CauseSyntax},
		{"comment", `{"id":"a",/**/"status":"completed"}`, CauseSyntax},
		{"NaN", `{"id":"a","status":"completed","x":NaN}`, CauseSyntax},
		{"duplicate key", `{"id":"a","status":"completed","id":"b"}`, CauseDuplicateKey},
		{"duplicate key, escaped", `{"id":"a","status":"completed","\u0069d":"b"}`, CauseDuplicateKey},
		{"duplicate key inside", `{"id":"a","status":"completed","x":{"k":1,"k":2}}`, CauseDuplicateKey},
		{"invalid UTF-8", "{\"id\":\"a\xff\",\"status\":\"completed\"}", CauseEncoding},
		{"lone surrogate", `{"id":"\ud800","status":"completed"}`, CauseSyntax},
		{"too deep", `{"id":"a","status":"completed","x":` + deep + `}`, CauseDepth},
		{"no id", `{"status":"completed"}`, CauseNoID},
		{"empty id", `{"id":"","status":"completed"}`, CauseNoID},
		{"number as id", `{"id":5,"status":"completed"}`, CauseNoID},
		{"other case of id", `{"ID":"a","status":"completed"}`, CauseNoID},
		{"no status", `{"id":"a"}`, CauseNoStatus},
		{"null status", `{"id":"a","status":null}`, CauseNoStatus},
		{"long id", `{"id":"` + strings.Repeat("i", 257) + `","status":"completed"}`, CauseTooLong},
		{"long status", `{"id":"a","status":"` + strings.Repeat("s", 65) + `"}`, CauseTooLong},
		{"long model", `{"id":"a","status":"completed","model":"` + strings.Repeat("m", 4097) + `"}`, CauseTooLong},
		{"model long when encoded", `{"id":"a","status":"completed","model":"` + strings.Repeat("é", 700) + `"}`, CauseTooLong},
		{"stale", `{"id":"a","status":"completed","completed_at":"2024-01-01T11:00:03Z"}`, CauseStale},
	} {
		_, err := newSource(t, secret).Accept(delivery(c.body))
		var unusable *UnusableError
		require.ErrorAs(t, err, &unusable, c.name)
		require.Equal(t, c.cause, unusable.Cause, "%s: %v", c.name, err)
		require.Less(t, len(err.Error()), 1024, c.name)
	}
	d := delivery(documented)
	d.ContentType = strings.Repeat("c", 1025)
	_, err := newSource(t, secret).Accept(d)
	require.ErrorContains(t, err, "content type")
	d = delivery(documented)
	d.Query = map[string]string{"ref": strings.Repeat("q", 1025)}
	_, err = newSource(t, secret).Accept(d)
	require.ErrorContains(t, err, "query parameter ref")
}

func TestUsableAtTheLimits(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"id":"` + strings.Repeat("i", 256) + `","status":"` + strings.Repeat("s", 64) + `","model":"` + strings.Repeat("m", 4096) + `"}`,
		`{"id":"a","status":"completed","x":` + strings.Repeat(`[`, 63) + strings.Repeat(`]`, 63) + `}`,
		`{"id":"a","status":"completed","completed_at":"2024-01-01T11:00:04Z"}`,
		`{"id":"a","status":"processing","completed_at":"2020-01-01T11:00:04Z"}`,
		`{"id":"a","status":"completed","outputs":[1e400,-1e400,123456789012345678901234567890,{"b":1,"a":2}]}`,
		"\n\t {\"id\":\"a\",\"status\":\"completed\"} \r\n",
	} {
		_, err := newSource(t, secret).Accept(delivery(body))
		require.NoError(t, err, "%.80s", body)
	}
}

func TestUnknownStatusIsCarriedThrough(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{"Half Done": "Half=20Done", "Completed": "Completed", "canceled": "canceled"} {
		body := fmt.Sprintf(`{"id":"a","status":%q}`, raw)
		e, err := newSource(t, secret).Accept(delivery(body))
		require.NoError(t, err)
		require.Equal(t, want, e.Status)
		require.Equal(t, raw, e.RawStatus)
		require.Equal(t, "com.get3w.prediction."+want+".v1", e.Type)
		require.Equal(t, raw == "canceled", bridge.Terminal(e.Status))
	}
}

// Copies of one fact are one event, whatever their bytes; two facts are two.
func TestEventIDIsMadeOfMeaning(t *testing.T) {
	t.Parallel()
	id := func(body string) string {
		e, err := newSource(t, secret).Accept(delivery(body))
		require.NoError(t, err, body)
		return e.ID
	}
	same := [][]string{
		{
			documented,
			`{"status":"completed","outputs":["https:\/\/cdn.get3w.com\/outputs\/image-xxxxx.png"],"error":null,"id":"pred_abc123"}`,
			`{"id":"pred_abc123","status":"completed","error":"","outputs":["https://cdn.get3w.com/outputs/image-xxxxx.png?sig=1&t=2"]}`,
		},
		{`{"id":"a","status":"failed","error":"x"}`, `{"id":"a","status":"failed","error":"\u0078","outputs":null}`, `{"id":"a","status":"failed","error":"x","outputs":[]}`},
		{`{"id":"a","status":"completed","outputs":[{"b":1.0,"a":"<&>"}]}`, `{"id":"a","status":"completed","outputs":[{"a":"<&>","b":1}]}`},
		{`{"id":"a","status":"completed","outputs":["text?a"]}`},
		{`{"id":"a","status":"completed","outputs":["text?b"]}`},
		{`{"id":"a","status":"completed"}`, `{"id":"a","status":"completed","outputs":""}`},
		{`{"id":"a","status":"canceled"}`},
		{`{"id":"b","status":"completed"}`},
		{`{"id":"a","status":"processing","progress":1}`},
		{`{"id":"a","status":"processing","progress":2}`},
		{`{"id":"a","status":"processing","progress": 2}`},
	}
	seen := map[string]int{}
	for i, bodies := range same {
		first := id(bodies[0])
		_, known := seen[first]
		require.False(t, known, "%s has the id of another fact", bodies[0])
		seen[first] = i
		for _, body := range bodies[1:] {
			require.Equal(t, first, id(body), body)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]Config{
		"source \"A\"":            {Name: "A", Kind: "get3w"},
		"unknown kind \"gitlab\"": {Name: "a", Kind: "gitlab"},
		"max age":                 {Name: "a", Kind: "get3w", MaxAge: -1},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
}

// For any signed body Accept returns a valid event or one of its two errors.
func FuzzAccept(f *testing.F) {
	f.Add([]byte(documented))
	f.Add([]byte(`{"id":"a","ID":"b","status":"completed"}`))
	f.Add([]byte(`{"id":"a","status":"completed","outputs":[1e999,"http://x?y",[[]]],"error":{"a":"\u2028"}}`))
	s, err := New(Config{Name: "get3w", Kind: "get3w", Secrets: [][]byte{secret}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d := delivery(string(body))
		e, err := s.Accept(d)
		if err != nil {
			if unusable := new(UnusableError); !errors.As(err, &unusable) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		var fields map[string]any
		if err := dec.Decode(&fields); err != nil || fields["id"] != e.PredictionID || fields["status"] != e.RawStatus {
			t.Fatalf("%q is read as %+v", body, e)
		}
		strict, err := readFields(body)
		if err != nil {
			t.Fatal(err)
		}
		lenient, err := bridge.ParsePrediction(body)
		if err != nil || !reflect.DeepEqual(bridge.NewPrediction(strict), lenient) {
			t.Fatalf("%q is read as %+v and as %+v, %v", body, bridge.NewPrediction(strict), lenient, err)
		}
		if _, err := (bridge.Names{}).ParseEvent(bridge.Names{}.Event(e.Source, e.Status, e.Model)); err != nil {
			t.Fatal(err)
		}
		back, err := bridge.DecodeEvent(e.Header(), e.Body)
		if err != nil || back.ID != e.ID || back.Model != e.Model || back.Status != e.Status {
			t.Fatalf("%+v comes back as %+v, %v", e, back, err)
		}
		d.Proof = bridge.Header{signing.Header: {strings.Repeat("0", 64)}}
		if _, err := s.Accept(d); !errors.Is(err, ErrNotAuthentic) {
			t.Fatalf("a wrong signature gives %v", err)
		}
	})
}

func BenchmarkAccept(b *testing.B) {
	s, d := newSource(b, secret), delivery(documented)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Accept(d); err != nil {
			b.Fatal(err)
		}
	}
}
