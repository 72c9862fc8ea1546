package telemetry

import (
	"log/slog"
	"math"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
)

// Slog returns a logger for packages that know slog alone. The lines go where those of log go,
// under the same name and with the same fields.
func Slog(log *zap.Logger) *slog.Logger {
	const never = slog.Level(math.MaxInt) // what has a stack worth reading brings one
	return slog.New(zapslog.NewHandler(log.Core(), zapslog.WithName(log.Name()), zapslog.AddStacktraceAt(never)))
}
