package source

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What common libraries make of a body is recognised, whichever of the two the sender has signed.
func TestDiagnoseOfBodiesThatWereWrittenAnew(t *testing.T) {
	t.Parallel()
	const compact = `{"id":"p","status":"failed","error":"<é & 😀>","outputs":["https://x/y"],"n":1.50}`
	ascii := strings.NewReplacer("é", `\u00e9`, "😀", `\ud83d\ude00`).Replace(compact)
	spaced := strings.NewReplacer(`":`, `": `, `,"`, `, "`).Replace
	var indented strings.Builder
	for i, field := range []string{`"id": "p"`, `"status": "failed"`, `"error": "<é & 😀>"`, `"outputs": [` + "\n    \"https://x/y\"\n  ]", `"n": 1.50`} {
		indented.WriteString(map[bool]string{true: "{\n  ", false: ",\n  "}[i == 0] + field)
	}
	indented.WriteString("\n}")
	var value map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(compact), &value))
	byGo, err := json.Marshal(value)
	require.NoError(t, err)
	for name, c := range map[string]struct{ signed, words string }{
		"JavaScript":        {compact, "no character escaped without need"},
		"Python":            {spaced(ascii), "a space behind each comma and colon and every character beyond ASCII escaped"},
		"JavaScript, two":   {indented.String(), "indented by two spaces"},
		"PHP":               {strings.ReplaceAll(ascii, "/", `\/`), "every slash and every character beyond ASCII escaped"},
		"PHP, as it is":     {strings.ReplaceAll(compact, "/", `\/`), "every slash escaped"},
		"Go":                {string(byGo), "names sorted"},
		"spaces were added": {compact, "no character escaped"},
	} {
		t.Run(name, func(t *testing.T) {
			came := spaced(strings.ReplaceAll(ascii, "<", `\u003c`)) // is none of the above
			s := newSource(t, []byte(written))
			cause, detail := s.Diagnose(signedBy(written, c.signed, came))
			require.Equal(t, CauseBodyChanged, cause, detail)
			require.Contains(t, detail, c.words)
			cause, _ = s.Diagnose(signedBy("another secret", c.signed, came))
			require.Equal(t, CauseWrongSignature, cause)
		})
	}
}

// A large body is written anew only where an operator asks.
func TestDiagnosisIsBounded(t *testing.T) {
	t.Parallel()
	signed := `{"a": "` + strings.Repeat("x", 2<<20) + `"}`
	d := signedBy(written, signed, strings.Replace(signed, ": ", ":", 1))
	s := newSource(t, []byte(written))
	cause, _ := s.Diagnose(d)
	require.Equal(t, CauseWrongSignature, cause)
	cause, detail := s.DiagnoseFully(d)
	require.Equal(t, CauseBodyChanged, cause, detail)
}
