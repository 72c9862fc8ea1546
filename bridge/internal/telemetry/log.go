// Package telemetry has the log and the metrics of a process.
package telemetry

import (
	"fmt"
	"io"
	"os"

	"github.com/mattn/go-isatty"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Formats of a log.
const (
	FormatJSON    = "json"
	FormatConsole = "console"
)

// LogConfig of [NewLogger]. Zero values are defaults.
type LogConfig struct {
	// Level is debug, info, warn or error, default info.
	Level string
	// Format is [FormatJSON] or [FormatConsole]. Default FormatConsole where the log is written
	// to a terminal, FormatJSON elsewhere.
	Format string
}

// NewLogger returns a logger that writes one line of printable text per entry to w, one at a
// time. It registers counters of lines by level with reg, so that alerts need no search in
// logs; nil reg counts nothing.
func NewLogger(cfg LogConfig, w io.Writer, reg prometheus.Registerer) (*zap.Logger, error) {
	level := zapcore.InfoLevel
	if cfg.Level != "" {
		var err error
		if level, err = zapcore.ParseLevel(cfg.Level); err != nil {
			return nil, fmt.Errorf("log level: %w", err)
		}
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	enc.EncodeDuration = zapcore.StringDurationEncoder
	format := cfg.Format
	if format == "" {
		format = FormatJSON
		if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
			format = FormatConsole
		}
	}
	var encoder zapcore.Encoder
	switch format {
	case FormatJSON:
		encoder = escapingEncoder{Encoder: zapcore.NewJSONEncoder(enc)}
	case FormatConsole:
		enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05")
		encoder = escapingEncoder{Encoder: zapcore.NewConsoleEncoder(enc), plainMessage: true}
	default:
		return nil, fmt.Errorf("log format: %q is not known: use %s or %s", format, FormatJSON, FormatConsole)
	}
	out := &lines{to: w}
	log := zap.New(zapcore.NewCore(encoder, out, level), zap.Hooks(out.written))
	if reg == nil {
		return log, nil
	}
	count, err := countLines(reg)
	if err != nil {
		return nil, err
	}
	return log.WithOptions(zap.Hooks(count)), nil
}

// countLines returns a function that counts a line. Lines below the level of the log are
// neither written nor counted.
func countLines(reg prometheus.Registerer) (func(zapcore.Entry) error, error) {
	lines := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hookspan_log_lines_total",
		Help: "Lines of the log that a person should look at, by level.",
	}, []string{"level"})
	if err := reg.Register(lines); err != nil {
		return nil, fmt.Errorf("counting lines of the log: %w", err)
	}
	warnings, errs := lines.WithLabelValues(zapcore.WarnLevel.String()), lines.WithLabelValues(zapcore.ErrorLevel.String())
	return func(e zapcore.Entry) error {
		switch {
		case e.Level >= zapcore.ErrorLevel:
			errs.Inc()
		case e.Level == zapcore.WarnLevel:
			warnings.Inc()
		}
		return nil
	}, nil
}
