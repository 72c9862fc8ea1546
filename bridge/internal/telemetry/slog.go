package telemetry

import (
	"log/slog"
	"math"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
)

// Slog returns a logger for packages that need slog. Its lines go to log, with the same name
// and fields.
func Slog(log *zap.Logger) *slog.Logger {
	const never = slog.Level(math.MaxInt) // errors bring the stacks that are worth reading
	return slog.New(zapslog.NewHandler(log.Core(), zapslog.WithName(log.Name()), zapslog.AddStacktraceAt(never)))
}
