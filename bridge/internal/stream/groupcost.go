package stream

import "time"

const (
	// minBreakEven is how many singles cost about what one batch costs where each
	// is synced: a batch takes four syncs and some forty calls besides, whatever
	// its size.
	minBreakEven = 8
	// trialSize is how many singles the first trial has; each size has so many
	// tries, and all sizes together so many trials.
	trialSize  = 8
	trialTries = 3
	maxTrials  = 24
	// steepSize is from which size on it counts how much longer a trial took than
	// a smaller one. Below that it says little.
	steepSize = 32
	// trialAge is how long a conclusion is believed.
	trialAge = 10 * time.Second
	// recentBatches is how many count for what a batch takes; the first trial
	// waits for a few.
	recentBatches = 16
	firstBatches  = 4
)

// batchCost decides how many messages are worth a batch. Batches pay because they are
// synced once; on a server that does not sync each message they cost more than
// singles, and how much more one cannot know from outside. So now and then some
// messages that wait are published as singles, to see whether as many as a batch has
// take less time than it does. If so, the break-even is raised beyond that size, for
// a while.
//
// On a slow disk so many singles would hold up everybody. So the first trial is
// small, and the next one twice as large only if it took less than a whole batch: no
// trial takes much longer than a batch. Where batches are large it ends earlier: once
// more messages took so much more time that as many as a batch has would take twice
// its time. On a busy machine one that took long says little, so it is tried again.
type batchCost struct {
	set    int // by the configuration; nothing is measured then
	raised int // break-even while batches do not pay

	batches     int     // that were measured
	large, took float64 // mean size and time of the recent ones, in ns

	turn      bool // a batch comes before the next trial
	size      int  // of the next trial
	tries     int  // of that size
	smaller   int  // size of the trial before that one
	smallTook float64
	trials    int
	concluded time.Time
}

func (p *batchCost) breakEven() int {
	switch {
	case p.set > 0:
		return p.set
	case p.raised > 0 && time.Since(p.concluded) < trialAge:
		return p.raised
	}
	return minBreakEven
}

// wantsTrial says whether the next thing to be measured is a trial. There is a batch
// between two of them, so that nobody waits for both.
func (p *batchCost) wantsTrial() bool {
	return p.set == 0 && !p.turn && p.batches >= firstBatches && time.Since(p.concluded) >= trialAge
}

// due returns how many of those that wait the trial should have, or 0.
func (p *batchCost) due(waiting int) int {
	if waiting < trialSize {
		return 0
	}
	return min(max(p.size, trialSize), waiting)
}

// trial is told what n singles took.
func (p *batchCost) trial(n int, took time.Duration) {
	p.turn, p.size = true, n
	p.tries++
	p.trials++
	less := float64(took) < p.took
	switch {
	case less && float64(n) >= p.large:
		p.conclude(int(2 * p.large))
	case less && p.steep(n, took):
		p.conclude(0)
	case less:
		p.smaller, p.smallTook = n, float64(took)
		p.size, p.tries = min(2*n, max(int(p.large), n+1)), 0
	case p.tries == trialTries:
		p.conclude(0)
	}
	if p.trials == maxTrials {
		p.conclude(0)
	}
}

// steep says whether n singles took so much longer than fewer did that a whole batch
// of them would take twice as long as a batch does.
func (p *batchCost) steep(n int, took time.Duration) bool {
	if n < steepSize || n <= p.smaller {
		return false
	}
	each := (float64(took) - p.smallTook) / float64(n-p.smaller)
	return each*p.large > 2*p.took
}

func (p *batchCost) conclude(breakEven int) {
	p.raised, p.concluded = breakEven, time.Now()
	p.size, p.tries, p.trials, p.smaller, p.smallTook = 0, 0, 0, 0, 0
}

// batch is told what a batch of n took.
func (p *batchCost) batch(n int, took time.Duration) {
	p.turn = false
	p.batches++
	weight := 1 / float64(min(p.batches, recentBatches))
	p.large += (float64(n) - p.large) * weight
	p.took += (float64(took) - p.took) * weight
}
