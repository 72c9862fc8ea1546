package stream

import "time"

const (
	// minBreakEven is how many synced singles cost about as much as one batch: a batch takes
	// four syncs and some forty other calls, whatever its size.
	minBreakEven = 8
	// The first trial has trialSize singles. Each size gets trialTries trials, and all sizes
	// together maxTrials.
	trialSize  = 8
	trialTries = 3
	maxTrials  = 24
	// steepSize is the size from which the comparison with a smaller trial counts; below it is
	// too inaccurate.
	steepSize = 32
	// trialAge is how long a conclusion is used.
	trialAge = 10 * time.Second
	// recentBatches is how many batches count for the mean cost of a batch; the first trial
	// waits for a few.
	recentBatches = 16
	firstBatches  = 4
)

// batchCost decides how many messages are worth a batch. A batch pays because it is synced
// once. On a server that does not sync each message, it costs more than singles, by an amount
// unknown to clients. So now and then waiting messages are published as singles, to measure
// whether as many singles as a batch has messages take less time than a batch. If so, the
// break-even is raised above that size for a while.
//
// On a slow disk so many singles would delay everybody. So the first trial is small, and the
// next one is twice as large only if this one took less than a whole batch: no trial takes much
// longer than a batch. With large batches the trials end earlier: once the growth from one
// trial to the next shows that a batch's worth of singles would take twice as long as the
// batch. On a busy machine a slow trial proves little, so it is repeated.
type batchCost struct {
	set    int // by the configuration; disables the measuring
	raised int // break-even while batches do not pay

	batches     int     // measured
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

// wantsTrial reports whether the next measurement is a trial. A batch comes between two trials,
// so that nobody waits for both.
func (p *batchCost) wantsTrial() bool {
	return p.set == 0 && !p.turn && p.batches >= firstBatches && time.Since(p.concluded) >= trialAge
}

// due returns how many of the waiting messages the trial should have, or 0.
func (p *batchCost) due(waiting int) int {
	if waiting < trialSize {
		return 0
	}
	return min(max(p.size, trialSize), waiting)
}

// trial records that n singles took that long.
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

// steep reports whether the growth over the smaller trial means that a whole batch of singles
// would take twice as long as a batch.
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

// batch records that a batch of n took that long.
func (p *batchCost) batch(n int, took time.Duration) {
	p.turn = false
	p.batches++
	weight := 1 / float64(min(p.batches, recentBatches))
	p.large += (float64(n) - p.large) * weight
	p.took += (float64(took) - p.took) * weight
}
