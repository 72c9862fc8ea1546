package jsonvalue

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzMembers finds what encoding/json finds.
func FuzzMembers(f *testing.F) {
	for _, body := range []string{
		`{"id":"a","id":"b"}`, "{\"id\":\"\xff\",\"\xff\":1}", ` { "\u0069d" : "\ud800" } `, `{"id":"a"} x`, `{"id":"a"}{}`, `{"id":"a",}`, `{"id"}`, `{"id":01}`, `{`, `[]`, `null`, `nul`, ``, `}`,
		strings.Repeat(`{"a":`, 10_001), strings.Repeat(`{"a":`, 9999) + "1" + strings.Repeat("}", 9999),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var want map[string]json.RawMessage
		failed := json.Unmarshal(body, &want) != nil || want == nil
		if got, err := Members(body); failed != (err != nil) || !failed && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q and %v, json.Unmarshal has %q", got, err, want)
		}
	})
}

func TestAt(t *testing.T) {
	t.Parallel()
	body := json.RawMessage(` {"a":{"b":[{"c":"x"},2]},"d/e":{"~":null},"":"empty"} `)
	for pointer, want := range map[string]string{
		"/a/b/0/c": `"x"`, "/a/b/1": "2", "/d~1e/~0": "null", "/": `"empty"`, Whole: strings.TrimSpace(string(body)),
		"/a/b/2": "", "/a/b/-1": "", "/a/b/x": "", "/a/x": "", "/a/b/0/c/d": "", "a": "", "": "",
	} {
		require.Equal(t, want, string(At(body, pointer)), pointer)
		members, err := Members(body)
		require.NoError(t, err)
		require.Equal(t, want, string(In(body, members, pointer)), pointer)
	}
	require.Empty(t, At(nil, "/a"))
	require.Empty(t, At(json.RawMessage(`{"a":`), "/a"))
}

func TestAnyTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, raw := range []string{`"2026-01-02T03:04:05Z"`, "1767323045", "1767323045000", `"1767323045"`, "1767323045.0", "1.767323045e9"} {
		require.True(t, at.Equal(AnyTime(json.RawMessage(raw))), raw)
	}
	for _, raw := range []string{"", "null", "0", "-5", "1e300", `"soon"`, "[]", "{}", "true", `"NaN"`, `"Inf"`} {
		require.True(t, AnyTime(json.RawMessage(raw)).IsZero(), raw)
	}
}

// FuzzAt never panics, whatever the value and the pointer are.
func FuzzAt(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":2}]}`), "/a/1/b")
	f.Add([]byte(`[[`), "/0/0")
	f.Fuzz(func(t *testing.T, body []byte, pointer string) {
		got := At(body, pointer)
		if len(got) > len(body) {
			t.Fatalf("%q is longer than %q", got, body)
		}
		_, _, _ = Nothing(got), Text(got), AnyTime(got)
	})
}
