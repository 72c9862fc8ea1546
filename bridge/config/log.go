package config

import "go.uber.org/zap/zapcore"

// Log is what the process writes about itself, to standard error.
type Log struct {
	// Level is the least level that is written: debug, info, warn or error. Default info.
	Level string `yaml:"level"`
	// Format is json, or console for people. Default json.
	Format string `yaml:"format"`
}

var (
	defaultLog = Log{Level: "info", Format: "json"}

	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"json", "console"}
)

func (l Log) check(found *Checker) {
	if _, err := zapcore.ParseLevel(l.Level); err != nil { // INFO is read too
		found.oneOf("log.level", l.Level, logLevels)
	}
	found.oneOf("log.format", l.Format, logFormats)
}
