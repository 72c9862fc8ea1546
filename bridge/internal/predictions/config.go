package predictions

import (
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
)

// Config of a [Leader].
type Config struct {
	Names bridge.Names
	// Sources are the configured senders, by name.
	Sources map[string]poller.SourceConfig
	// Keep is how long the view keeps finished predictions.
	Keep time.Duration
	// GiveUpAfter is how long an overdue prediction without an end is polled after the
	// provider's first answer; zero is for ever.
	GiveUpAfter time.Duration
	// Process names this process for operators.
	Process string
	Alarms  bridge.Alarmer
	// Logger may be nil.
	Logger *zap.Logger
}
