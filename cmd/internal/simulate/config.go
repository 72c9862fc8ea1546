// Package simulate plays the provider against a running bridge: many webhooks, sent as the
// provider sends them, with faults. Then it accounts for all of them by what the bridge itself
// says through its API.
package simulate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
)

// Limits of [Config].
const (
	maxCount       = 100_000 // the timelines of all are kept
	maxRate        = 100_000
	maxSpeed       = 1_000_000
	maxBody        = 64 << 20
	maxOutputs     = 16
	maxOutputBytes = 1 << 30
	maxEvery       = math.MaxInt32
	maxWait        = 24 * time.Hour
)

// Config says what is sent, and to whom. Each "Every" applies to every nth prediction, or output
// of [Outputs], and 0 to none; numbers without a common divisor mix best.
type Config struct {
	// API is the bridge that is asked afterwards.
	API *client.Client
	// Source is the name of the bridge's source that URL leads to.
	Source, URL string
	// Secret signs the webhooks.
	Secret []byte
	// TLS is nil for the certificates of the system.
	TLS *tls.Config
	// Speed is how much faster than the clock the provider's schedule passes.
	Speed float64

	// Count is how many predictions end, Rate how many of them in a second.
	Count int
	Rate  float64
	// Models and Statuses are mixed by weight; Bytes are the sizes of bodies. Seed makes the
	// same mix again.
	Models, Statuses Mix
	Bytes            Range
	Seed             uint64

	// DuplicateEvery: the webhook comes twice, by turns at the same time and after its answer.
	DuplicateEvery int
	// ForgeEvery: a stranger sends something without the right signature, once.
	ForgeEvery int
	// BreakEvery: the webhook is signed and no prediction can be read from it.
	BreakEvery int
	// LateEvery: a webhook that says processing comes after that of the end, if the prediction
	// has ended.
	LateEvery int

	Outputs Outputs
	// Wait bounds how long the consumers may take after the last webhook.
	Wait time.Duration
	// Progress, unless nil, is called ten times a second at most, by one goroutine, with a
	// share of 0 to 1 of what is done, and words.
	Progress func(share float64, words string)
}

// Outputs are those of completed predictions, which the simulator serves.
type Outputs struct {
	// Count is how many each completed prediction has.
	Count int
	Bytes int64
	// Listen is the host, by which the bridge reaches it, and the port that serve them.
	Listen string
	// SlowEvery: the output comes over two seconds. CutEvery: its connection breaks off in the
	// middle, the first time. MissingEvery: it is gone.
	SlowEvery, CutEvery, MissingEvery int
}

// Check returns an error that names the flag of the first wrong value.
func (c *Config) Check() error {
	for _, n := range []struct {
		flag                 string
		value, least, atMost float64
	}{
		{"--count", float64(c.Count), 1, maxCount},
		{"--rate", c.Rate, 0.001, maxRate},
		{"--speed", c.Speed, 0.001, maxSpeed},
		{"--size", float64(c.Bytes.Most), 0, maxBody},
		{"--outputs", float64(c.Outputs.Count), 0, maxOutputs},
		{"--output-bytes", float64(c.Outputs.Bytes), 1, maxOutputBytes},
		{"--duplicate-every", float64(c.DuplicateEvery), 0, maxEvery},
		{"--forge-every", float64(c.ForgeEvery), 0, maxEvery},
		{"--break-every", float64(c.BreakEvery), 0, maxEvery},
		{"--late-every", float64(c.LateEvery), 0, maxEvery},
		{"--slow-every", float64(c.Outputs.SlowEvery), 0, maxEvery},
		{"--cut-every", float64(c.Outputs.CutEvery), 0, maxEvery},
		{"--missing-every", float64(c.Outputs.MissingEvery), 0, maxEvery},
	} {
		if !(n.value >= n.least && n.value <= n.atMost) { // NaN is refused too
			return fmt.Errorf("%s is %v: use %v to %v", n.flag, n.value, n.least, n.atMost)
		}
	}
	if c.Wait < 0 || c.Wait > maxWait {
		return fmt.Errorf("--wait is %v: use 0s to %v", c.Wait, maxWait)
	}
	for _, s := range c.Statuses {
		if len(s.Name) > bridge.MaxStatus {
			return fmt.Errorf("--status: %.80q is longer than the %d bytes of a status", s.Name, bridge.MaxStatus)
		}
	}
	host, _, err := net.SplitHostPort(c.Outputs.Listen)
	switch ip := net.ParseIP(host); {
	case err != nil:
		return fmt.Errorf("--listen: %w", err)
	case host == "" || ip.IsUnspecified():
		return errors.New("--listen: name the host by which the bridge reaches it")
	}
	return nil
}

// nth reports whether n, counted from 0, is one of every so many.
func nth(n, every int) bool { return every > 0 && (n+1)%every == 0 }
