package telemetry

import (
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"github.com/hookspan/hookspan/internal/printable"
)

// escapingEncoder writes one line for one entry, whatever foreign text it carries:
// zap's encoders leave C1 controls, DEL, line separators and marks of writing
// direction as they are, on which terminals act and readers of lines break.
type escapingEncoder struct {
	zapcore.Encoder
	// plainMessage: the encoder writes the message as it is, and not as JSON.
	plainMessage bool
}

func (e escapingEncoder) Clone() zapcore.Encoder {
	return escapingEncoder{Encoder: e.Encoder.Clone(), plainMessage: e.plainMessage}
}

func (e escapingEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	if e.plainMessage {
		entry.Message = printable.String(entry.Message)
	}
	line, err := e.Encoder.EncodeEntry(entry, fields)
	if err != nil {
		return nil, err
	}
	escapeLine(line)
	return line, nil
}

// escapeLine escapes in an encoded line what is not printable. Such a rune can only
// be in a JSON string there, so the escape is JSON's.
func escapeLine(line *buffer.Buffer) {
	text := line.Bytes()
	at := unprintable(text)
	if at < 0 {
		return
	}
	out := make([]byte, 0, len(text)+32)
	for at >= 0 {
		r, size := utf8.DecodeRune(text[at:])
		out = append(out, text[:at]...)
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		} else {
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[at+size:]
		at = unprintable(text)
	}
	out = append(out, text...)
	line.Reset()
	line.AppendBytes(out)
}

// unprintable is where the first rune to escape begins, -1 without one. Controls
// below the space are not looked for: zap has escaped them, and a tab parts the
// columns and a line break ends the line.
func unprintable(text []byte) int {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) {
			return i
		}
		i += size
	}
	return -1
}
