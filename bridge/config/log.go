package config

import "go.uber.org/zap/zapcore"

// Log is what the process writes about itself, to standard error.
type Log struct {
	// Level is the least level that is written: debug, info, warn or error. Default info.
	Level string `yaml:"level"`
	// Format is json, or console for people. Default console where standard error is a
	// terminal, json elsewhere.
	Format string `yaml:"format"`
	// Deliveries says which deliveries have a line at level info: all, or problems for only
	// those that were not accepted or could not become an event. Default all.
	Deliveries string `yaml:"deliveries"`
}

// Values of [Log.Deliveries].
const (
	deliveriesAll      = "all"
	deliveriesProblems = "problems"
)

var (
	defaultLog = Log{Level: "info", Deliveries: deliveriesAll}

	logLevels     = []string{"debug", "info", "warn", "error"}
	logFormats    = []string{"json", "console"}
	logDeliveries = []string{deliveriesAll, deliveriesProblems}
)

// ProblemsOnly reports whether deliveries that have become events have no line.
func (l Log) ProblemsOnly() bool { return l.Deliveries == deliveriesProblems }

func (l Log) check(found *Checker) {
	if _, err := zapcore.ParseLevel(l.Level); err != nil { // INFO is read too
		found.oneOf("log.level", l.Level, logLevels)
	}
	if l.Format != "" {
		found.oneOf("log.format", l.Format, logFormats)
	}
	found.oneOf("log.deliveries", l.Deliveries, logDeliveries)
}
