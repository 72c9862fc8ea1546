package config

import "time"

// Predictions is about the predictions that events tell of.
type Predictions struct {
	// GiveUpAfter is for how long the provider is asked for a prediction that is overdue
	// and does not end, 1m to 720h; then it is a dead letter. Default 24h.
	GiveUpAfter Duration `yaml:"give_up_after"`
}

const (
	minGiveUp, maxGiveUp = Duration(time.Minute), Duration(30 * 24 * time.Hour)
)

var defaultPredictions = Predictions{GiveUpAfter: Duration(24 * time.Hour)}

func (p Predictions) check(found *Checker) {
	between(found, "predictions.give_up_after", p.GiveUpAfter, minGiveUp, maxGiveUp)
}

// View is about what is listed, searched and shown: the read model that each process with the
// role admin or reconciler makes of the streams, in its data folder.
type View struct {
	// Keep is how long finished predictions are known, with their events and attempts, 1h to
	// 336h. Older ones are found by their events. Default 72h.
	Keep Duration `yaml:"keep"`
}

const minKeep, maxKeep = Duration(time.Hour), Duration(14 * 24 * time.Hour)

var defaultView = View{Keep: Duration(72 * time.Hour)}

func (v View) check(found *Checker) { between(found, "view.keep", v.Keep, minKeep, maxKeep) }
