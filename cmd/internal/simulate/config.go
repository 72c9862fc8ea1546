// Package simulate plays a provider against a running bridge: many webhooks, sent as the
// provider sends them, with faults. Then it accounts for all of them by what the bridge itself
// says through its API.
package simulate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
	"github.com/hookspan/hookspan/internal/fakesender"
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
	// Sender is the provider that is played.
	Sender *fakesender.Sender
	// Secret signs the webhooks.
	Secret []byte
	// APIListen is the host and port of the provider's API, where api.base_url of the source
	// leads; empty for none. With it every prediction is announced to the bridge first.
	APIListen string
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
	// DropEvery: the webhook of the end is never sent, so that only polling finds the end.
	DropEvery int

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
		{"--drop-every", float64(c.DropEvery), 0, maxEvery},
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
	if err := c.checkSender(); err != nil {
		return err
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

// checkSender returns an error that names what this provider does not do.
func (c *Config) checkSender() error {
	s := c.Sender
	kind := "a provider of kind " + s.Kind
	if words := s.Statuses(); len(words) > 0 {
		for _, status := range c.Statuses {
			if !slices.Contains(words, status.Name) {
				return fmt.Errorf("--status: %s tells of %s only, as far as it is kept", kind, strings.Join(words, ", "))
			}
		}
	}
	for _, f := range []struct {
		flag string
		set  bool
		can  bool
		why  string
	}{
		{"--forge-every", c.ForgeEvery > 0, s.Signs(), "nothing in its webhooks proves who sent them"},
		{"--break-every", c.BreakEvery > 0, s.CoversBody(), "nothing in its webhooks proves what they say"},
		{"--late-every", c.LateEvery > 0, s.Posts() && !s.TellsEndsOnly(), "it tells of ends only, as far as it is kept"},
		{"--duplicate-every", c.DuplicateEvery > 0, s.Posts(), "it sends no webhooks"},
		{"--drop-every", c.DropEvery > 0, s.Answers(), "its API does not tell the result, so what is dropped is lost"},
		{"--api-listen", c.APIListen != "", s.Answers() || s.Signs() && !s.NeedsSecret(), "its API does not tell the result"},
	} {
		if f.set && !f.can {
			return fmt.Errorf("%s is not for %s: %s", f.flag, kind, f.why)
		}
	}
	if c.APIListen == "" && (c.DropEvery > 0 || !s.Posts() || !s.Signs() && s.Answers()) {
		return fmt.Errorf("--api-listen: the bridge must ask %s, so say on which host and port its API is to listen, and have api.base_url of the source lead there", kind)
	}
	return nil
}

// nth reports whether n, counted from 0, is one of every so many.
func nth(n, every int) bool { return every > 0 && (n+1)%every == 0 }
