package telemetry

import (
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"github.com/hookspan/hookspan/internal/printable"
)

// escapingEncoder writes one line per entry, whatever text the entry holds: zap's encoders do
// not escape C1 controls, DEL, line separators and bidirectional marks, on which terminals act
// and line readers break.
type escapingEncoder struct {
	zapcore.Encoder
	// plainMessage: the encoder writes the message as it is, not as JSON.
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

// escapeLine escapes unprintable runes of an encoded line. Such a rune can only be in a JSON
// string, so the escape is JSON's, which is always longer. Controls below the space stay: zap
// has escaped those of entries, a tab separates columns, and a line break ends the line.
func escapeLine(line *buffer.Buffer) {
	text := line.Bytes()
	if safe := printable.JSON(text); len(safe) > len(text) {
		line.Reset()
		line.AppendBytes(safe)
	}
}
