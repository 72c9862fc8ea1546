package config

import "time"

// Predictions is about the predictions that events tell of.
type Predictions struct {
	// Keep is how long finished predictions are known, 1h to 336h. Older ones are found by
	// their events. Default 72h.
	Keep Duration `yaml:"keep"`
	// GiveUpAfter is for how long the provider is asked for a prediction that is overdue
	// and does not end, 1m to 720h; then it is a dead letter. Default 24h.
	GiveUpAfter Duration `yaml:"give_up_after"`
}

const (
	minKeep, maxKeep     = Duration(time.Hour), Duration(14 * 24 * time.Hour)
	minGiveUp, maxGiveUp = Duration(time.Minute), Duration(30 * 24 * time.Hour)
)

var defaultPredictions = Predictions{Keep: Duration(72 * time.Hour), GiveUpAfter: Duration(24 * time.Hour)}

func (p Predictions) check(found *Checker) {
	between(found, "predictions.keep", p.Keep, minKeep, maxKeep)
	between(found, "predictions.give_up_after", p.GiveUpAfter, minGiveUp, maxGiveUp)
}
