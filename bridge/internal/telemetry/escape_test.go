package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hookspan/hookspan/bridge/internal/telemetry"
)

type stringer string

func (s stringer) String() string { return string(s) }

type object string

func (o object) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString(string(o), string(o))
	return nil
}

// fieldsOf is one field of every sort that can carry text.
func fieldsOf(text string) []zap.Field {
	return []zap.Field{
		zap.String("string", text), zap.String(text, "a key"), zap.Error(errors.New(text)), zap.NamedError("named", errors.New(text)),
		zap.Stringer("stringer", stringer(text)), zap.ByteString("bytes", []byte(text)), zap.Strings("strings", []string{text, text}),
		zap.Any("any", map[string]any{text: []any{text}}), zap.Reflect("reflected", struct{ Text string }{text}),
		zap.Reflect("raw", json.RawMessage(`{"raw":"`+strings.Map(noControl, text)+`"}`)),
		zap.Object("object", object(text)), zap.Objects("objects", []object{object(text)}), zap.Dict("dict", zap.String("inner", text)),
		zap.Namespace(text), zap.Errors("errors", []error{errors.New(text)}), zap.Inline(object(text)),
	}
}

func noControl(r rune) rune {
	if r < ' ' || r == '"' || r == '\\' {
		return -1
	}
	return r
}

var foreign = []string{
	"a\u009b31mred", "x\u2028{\"level\":\"error\",\"msg\":\"forged\"}", "x\u2029y", "next\u0085line", "del\x7f", "esc\x1b[2J",
	"\u202egnp.exe\u202c", "\u200f\u2066\u2069\u061c", "zero\u200bwidth\ufeff", "lf\ncr\rtab\tvt\vff\ffs\x1cgs\x1drs\x1e",
	"tag\U000e0041", "\xff\xc3(", "\x9b31m", "日本語 🦊 stays",
}

// oneLine checks that every entry is one line of printable text for terminals and for readers
// that break lines as Python's str.splitlines.
func oneLine(t *testing.T, out, text string) {
	line, ends := strings.CutSuffix(out, "\n")
	require.True(t, ends)
	for _, r := range line {
		require.True(t, unicode.IsPrint(r) || r == '\t', "%U of %q stands in %q", r, text, line)
	}
}

func TestEveryEntryIsOnePrintableLine(t *testing.T) {
	for _, format := range []string{telemetry.FormatJSON, telemetry.FormatConsole} {
		for _, text := range foreign {
			var out bytes.Buffer
			log, err := telemetry.NewLogger(telemetry.LogConfig{Format: format}, &out, nil)
			require.NoError(t, err)
			for _, write := range []func(){
				func() { log.Error(text, fieldsOf(text)...) },
				func() { log.With(fieldsOf(text)...).Named("part").Warn("message") },
				func() { log.Sugar().Infow(text, text, text) },
				func() { zap.NewStdLog(log).Print(text) },
			} {
				out.Reset()
				write()
				oneLine(t, out.String(), text)
				if format == telemetry.FormatConsole {
					require.LessOrEqual(t, strings.Count(out.String(), "\t"), 4, "a tab of the message parts columns: %q", out.String())
					continue
				}
				require.True(t, json.Valid(out.Bytes()), "%s", out.String())
			}
		}
	}
}

// The escape changes how a text is written, not its value.
func TestLogInJSONSaysWhatWasLogged(t *testing.T) {
	for _, text := range foreign {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(telemetry.LogConfig{}, &out, nil)
		require.NoError(t, err)
		log.Info(text, zap.String("field", text))
		var line map[string]string
		require.NoError(t, json.Unmarshal(out.Bytes(), &line))
		want := strings.ToValidUTF8(text, "\ufffd")
		if want == text { // zap replaces each byte, ToValidUTF8 each run
			require.Equal(t, text, line["msg"])
			require.Equal(t, text, line["field"])
		}
	}
}

func FuzzLogLine(f *testing.F) {
	for _, text := range foreign {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range []string{telemetry.FormatJSON, telemetry.FormatConsole} {
			var out bytes.Buffer
			log, err := telemetry.NewLogger(telemetry.LogConfig{Format: format}, &out, nil)
			require.NoError(t, err)
			log.Info(text, fieldsOf(text)...)
			oneLine(t, out.String(), text)
			require.True(t, format != telemetry.FormatJSON || json.Valid(out.Bytes()), "%s", out.String())
		}
	})
}

func BenchmarkAccessLine(b *testing.B) {
	log, err := telemetry.NewLogger(telemetry.LogConfig{}, io.Discard, nil)
	require.NoError(b, err)
	for b.Loop() {
		log.Info("delivery", zap.String("source", "get3w"), zap.String("outcome", "stored"), zap.Int("status", 200), zap.String("remote", "203.0.113.7"),
			zap.String("request_id", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"), zap.String("event", "pred_0123456789/completed/0123456789abcdef"),
			zap.String("model", "black-forest-labs/flux-1.1-pro"), zap.Int("bytes", 1234), zap.Duration("took", 1234567))
	}
}
