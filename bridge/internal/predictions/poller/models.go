package poller

import (
	"slices"
	"sync"
	"time"
)

const (
	// maxModels bounds the models whose durations are remembered: their names come from
	// outside.
	maxModels = 1000
	// modelSamples is how many of the last durations of a model are remembered.
	modelSamples = 256
	// modelEnough is how many durations an estimate needs.
	modelEnough = 5
	// maxDuration is the longest plausible duration. A longer one comes from a wrong clock.
	maxDuration = 24 * time.Hour
)

// models estimates how long predictions of each model take. It is safe for concurrent use.
type models struct {
	mu     sync.RWMutex
	byName map[modelName]*modelTimes
}

type modelName struct{ source, model string }

type modelTimes struct {
	ring   []time.Duration
	oldest int // index in the ring, once it is full
	sorted []time.Duration
}

func newModels() *models { return &models{byName: map[modelName]*modelTimes{}} }

// add adds a duration. It ignores implausible ones, predictions without a model, and models
// beyond the first maxModels.
func (m *models) add(source, model string, took time.Duration) {
	if took <= 0 || took > maxDuration || model == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := modelName{source, model}
	times := m.byName[name]
	if times == nil {
		if len(m.byName) >= maxModels {
			return
		}
		times = &modelTimes{}
		m.byName[name] = times
	}
	times.add(took)
}

// p99 returns the duration that 99 of 100 predictions of the model do not exceed, or false
// when too little is known.
func (m *models) p99(source, model string) (time.Duration, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	times := m.byName[modelName{source, model}]
	if times == nil || len(times.sorted) < modelEnough {
		return 0, false
	}
	return times.sorted[(len(times.sorted)*99+99)/100-1], true
}

func (t *modelTimes) add(took time.Duration) {
	if len(t.ring) < modelSamples {
		t.ring = append(t.ring, took)
	} else {
		at, _ := slices.BinarySearch(t.sorted, t.ring[t.oldest])
		t.sorted = slices.Delete(t.sorted, at, at+1)
		t.ring[t.oldest] = took
		t.oldest = (t.oldest + 1) % modelSamples
	}
	at, _ := slices.BinarySearch(t.sorted, took)
	t.sorted = slices.Insert(t.sorted, at, took)
}
