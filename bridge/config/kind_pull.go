package config

import (
	"maps"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

const (
	kindPull = "pull"

	minPullLease, maxPullLease = time.Second, time.Hour
	defaultPullLease           = 30 * time.Second
	// A delivery is no attempt: a program that stops gives back what it has, and a
	// network that breaks takes it. So the default is generous. Of a durable that
	// delivers once the server does not say which events it has given up.
	defaultMaxDeliveries, leastMaxDeliveries, mostMaxDeliveries = 20, 2, 10_000
)

// pullKind has its durable kept here, and its events handled by a program that is
// not ours.
var pullKind = kind{
	keys:     []string{"lease", "max_deliveries"},
	defaults: fillPullDefaults,
	check:    checkPull,
	Does:     func(*Config, ConsumerConfig) string { return "is read by a program of your own" },
	pulled:   true,
}

func fillPullDefaults(_ *Config, cons *ConsumerConfig) {
	if len(cons.Filter.Status) == 0 && cons.Filter.Event != bridge.KindArchived {
		cons.Filter.Status = stringList{bridge.StatusCompleted, bridge.StatusFailed}
	}
	if cons.Lease == 0 {
		cons.Lease = duration(defaultPullLease)
	}
	if cons.MaxDeliveries == 0 {
		cons.MaxDeliveries = defaultMaxDeliveries
	}
}

func checkPull(c *Config, found *Checker, key string, cons ConsumerConfig) {
	if lease := time.Duration(cons.Lease); lease < minPullLease || lease > maxPullLease {
		found.Fail(key+".lease", "it is %v: use %v to %v", lease, minPullLease, maxPullLease)
	}
	if cons.MaxDeliveries < leastMaxDeliveries || cons.MaxDeliveries > mostMaxDeliveries {
		found.Fail(key+".max_deliveries", "it is %d: use %d to %d", cons.MaxDeliveries, leastMaxDeliveries, mostMaxDeliveries)
	}
	// The server alone filters.
	if _, rest := cons.Filter.Filter().Subjects(c.Names()); rest {
		found.Fail(key+".filter.model", "NATS cannot filter by it, and nobody else would: use whole parts and one * at the end, such as google/*")
	}
}

// pulled are the consumers that a program of their own reads.
func (c *Config) Pulled() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Consumers)), func(name string) bool { return c.Consumers[name].Kind != kindPull })
}
