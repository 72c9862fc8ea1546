package config

import (
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

const (
	minKeep, maxKeep     = time.Hour, 14 * 24 * time.Hour
	minGiveUp, maxGiveUp = time.Minute, 30 * 24 * time.Hour
	maxPollAfter         = 24 * time.Hour
	maxPollRate          = 1000
)

func (c *Config) checkPredictions(found *Checker) {
	p := c.Predictions
	if keep := time.Duration(p.Keep); keep < minKeep || keep > maxKeep {
		found.Fail("predictions.keep", "it is %v: use %v to %v", p.Keep, minKeep, maxKeep)
	}
	if g := time.Duration(p.GiveUpAfter); g < minGiveUp || g > maxGiveUp {
		found.Fail("predictions.give_up_after", "it is %v: use %v to %v", p.GiveUpAfter, minGiveUp, maxGiveUp)
	}
}

// checkAPI: the key goes to that address with every question, so it goes nowhere in
// clear but to this machine.
func checkAPI(found *Checker, key string, api APIConfig) {
	if api == (APIConfig{}) {
		return
	}
	if api.Key == "" {
		found.Fail(key, "it has no key, and without one the provider is not asked: write key: env:NAME or file:PATH")
		return
	}
	u, err := url.Parse(api.BaseURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/"):
		found.Fail(key+".base_url", "write an address such as https://api.get3w.com/api/v3, without credentials, query and slash at the end")
	case u.Scheme != "https" && (u.Scheme != "http" || !IsLoopback(u.Hostname())):
		found.Fail(key+".base_url", "use https, or http to an address of this machine: the key travels with every question")
	}
	if api.Rate > maxPollRate {
		found.Fail(key+".rate", "it is more than %d/s: use less", maxPollRate)
	}
	if after := time.Duration(api.PollAfter); after < 0 || after > maxPollAfter {
		found.Fail(key+".poll_after", "it is %v: use at most %v", api.PollAfter, maxPollAfter)
	}
}

func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// owned are the durables that belong to this process.
func (c *Config) Owned() []string {
	return append(slices.Clone(slices.Sorted(maps.Keys(c.Consumers))), bridge.PredictionsConsumer)
}
