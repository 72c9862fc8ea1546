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
	minKeep, maxKeep     = time.Hour, 14 * 24 * time.Hour
	minGiveUp, maxGiveUp = time.Minute, 30 * 24 * time.Hour
)

var defaultPredictions = Predictions{Keep: Duration(72 * time.Hour), GiveUpAfter: Duration(24 * time.Hour)}

func (p Predictions) check(found *Checker) {
	if p.Keep < Duration(minKeep) || p.Keep > Duration(maxKeep) {
		found.Fail("predictions.keep", "it is %v: use %v to %v", p.Keep, minKeep, maxKeep)
	}
	if p.GiveUpAfter < Duration(minGiveUp) || p.GiveUpAfter > Duration(maxGiveUp) {
		found.Fail("predictions.give_up_after", "it is %v: use %v to %v", p.GiveUpAfter, minGiveUp, maxGiveUp)
	}
}
