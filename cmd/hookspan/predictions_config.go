package main

import (
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

func (c *config) checkPredictions(found *checker) {
	p := c.Predictions
	if keep := time.Duration(p.Keep); keep < minKeep || keep > maxKeep {
		found.fail("predictions.keep", "it is %v: use %v to %v", p.Keep, minKeep, maxKeep)
	}
	if g := time.Duration(p.GiveUpAfter); g < minGiveUp || g > maxGiveUp {
		found.fail("predictions.give_up_after", "it is %v: use %v to %v", p.GiveUpAfter, minGiveUp, maxGiveUp)
	}
}

// checkAPI: the key goes to that address with every question, so it goes nowhere in
// clear but to this machine.
func checkAPI(found *checker, key string, api apiConfig) {
	if api == (apiConfig{}) {
		return
	}
	if api.Key == "" {
		found.fail(key, "it has no key, and without one the provider is not asked: write key: env:NAME or file:PATH")
		return
	}
	u, err := url.Parse(api.BaseURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/"):
		found.fail(key+".base_url", "write an address such as https://api.get3w.com/api/v3, without credentials, query and slash at the end")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		found.fail(key+".base_url", "use https, or http to an address of this machine: the key travels with every question")
	}
	if api.Rate > maxPollRate {
		found.fail(key+".rate", "it is more than %d/s: use less", maxPollRate)
	}
	if after := time.Duration(api.PollAfter); after < 0 || after > maxPollAfter {
		found.fail(key+".poll_after", "it is %v: use at most %v", api.PollAfter, maxPollAfter)
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// owned are the durables that belong to this process.
func (c *config) owned() []string {
	return append(slices.Clone(sortedKeys(c.Consumers)), bridge.LedgerConsumer)
}
