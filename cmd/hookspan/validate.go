package main

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/admin"
	"github.com/hookspan/hookspan/bridge/ingress"
	"github.com/hookspan/hookspan/bridge/queue"
	"github.com/hookspan/hookspan/bridge/source"
	"github.com/hookspan/hookspan/consumers"
)

const (
	minEventsBytes = byteSize(1 << 20)
	maxReplicas    = 5
	minIdleTimeout = time.Second
)

// checker collects problems.
type checker []problem

func (c *checker) fail(key, format string, args ...any) {
	*c = append(*c, problem{strings.Split(key, "."), fmt.Sprintf(format, args...)})
}

// check fails the key with the error, if there is one.
func (c *checker) check(key string, err error) {
	if err != nil {
		c.fail(key, "%v", err)
	}
}

// problems is everything that is wrong, each with its remedy.
func (c *config) problems() []problem {
	var found checker
	if c.DataDir == "" {
		found.fail("data_dir", "it is empty: name a folder")
	}
	if _, err := zapcore.ParseLevel(c.Log.Level); err != nil {
		found.fail("log.level", "use debug, info, warn or error")
	}
	if c.Log.Format != "json" && c.Log.Format != "console" {
		found.fail("log.format", "use json or console")
	}
	c.checkRoles(&found)
	c.checkIngress(&found)
	c.checkNATS(&found)
	c.checkListens(&found)
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		c.checkSource(&found, name, c.Sources[name])
	}
	c.checkPredictions(&found)
	for _, name := range slices.Sorted(maps.Keys(c.Consumers)) {
		c.checkConsumer(&found, name, c.Consumers[name])
	}
	return found
}

func (c *config) checkRoles(found *checker) {
	if len(c.Roles) == 0 {
		found.fail("roles", "it is empty: name some of %s, or remove it for all of them", strings.Join(roles, ", "))
	}
	for _, role := range c.Roles {
		if !slices.Contains(roles, role) {
			found.fail("roles", "one of them is not known: use %s", strings.Join(roles, ", "))
			break
		}
	}
	if listen := c.Admin.Listen; listen != nil && *listen != "" && !isAddress(*listen) {
		found.fail("admin.listen", "use a host and a port, such as %s, or nothing", admin.DefaultListen)
	}
	for _, host := range c.Admin.Hosts {
		found.check("admin.hosts", admin.CheckHost(host))
	}
}

func (c *config) checkIngress(found *checker) {
	in := c.Ingress
	if !isAddress(in.Listen) {
		found.fail("ingress.listen", "use a host and a port, such as 127.0.0.1:8080, or a port alone, such as :8080")
	}
	if in.Deadline <= 0 || time.Duration(in.Deadline) > ingress.MaxDeadline {
		found.fail("ingress.deadline", "it is %v: use more than zero and at most %v", in.Deadline, ingress.MaxDeadline)
	}
	if limit := byteSize(queue.MaxPayload - queue.HeaderRoom); in.MaxBody <= 0 || in.MaxBody > limit {
		found.fail("ingress.max_body", "it is %d bytes: use 1 to %d", in.MaxBody, limit)
	}
	if in.MaxInFlight <= 0 {
		found.fail("ingress.max_in_flight", "it is %d: use 1 or more", in.MaxInFlight)
	}
	if least := in.MaxBody + ingress.MaxHeaderBytes; in.MaxInFlightBytes < least {
		found.fail("ingress.max_in_flight_bytes", "it is %v: use at least %d, which is ingress.max_body and 64 KiB for a header", in.MaxInFlightBytes, least)
	}
	if in.MaxConnections <= 0 {
		found.fail("ingress.max_connections", "it is %d: use 1 or more", in.MaxConnections)
	}
	if idle := time.Duration(in.IdleTimeout); idle < minIdleTimeout || idle > ingress.MaxIdleTimeout {
		found.fail("ingress.idle_timeout", "it is %v: use %v to %v, and more than the load balancer keeps idle connections", in.IdleTimeout, minIdleTimeout, ingress.MaxIdleTimeout)
	}
	if in.MaxConnectionsPerAddress < 0 {
		found.fail("ingress.max_connections_per_address", "it is %d: use 1 or more, or 0 for no limit", in.MaxConnectionsPerAddress)
	}
	if in.BurstPerAddress < 0 || in.BurstPerAddress > 0 && in.RatePerAddress == 0 {
		found.fail("ingress.burst_per_address", "it is %d: use 1 or more, together with ingress.rate_per_address", in.BurstPerAddress)
	}
	for _, p := range in.TrustedProxies {
		_, err := ingress.ParseProxy(p)
		found.check("ingress.trusted_proxies", err)
	}
	if (in.TLS.Cert == "") != (in.TLS.Key == "") {
		found.fail("ingress.tls", "cert and key come together")
	}
	if u, err := url.Parse(in.PublicURL); in.PublicURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		found.fail("ingress.public_url", "write an address such as https://hooks.example.com, without query")
	}
	if in.ShutdownDelay < 0 || time.Duration(in.ShutdownDelay) > ingress.MaxShutdownDelay {
		found.fail("ingress.shutdown_delay", "it is %v: use at most %v", in.ShutdownDelay, ingress.MaxShutdownDelay)
	}
}

func (c *config) checkNATS(found *checker) {
	n := c.NATS
	if c.Ingress.Ack != ackQuorum && c.Ingress.Ack != ackLocal {
		found.fail("ingress.ack", "use quorum or local")
	}
	if c.Ingress.Ack == ackLocal && n.URL == "" {
		found.fail("ingress.ack", "local is for an external NATS: the embedded one syncs to this machine's disk anyway")
	}
	if least := c.Ingress.MaxBody + queue.HeaderRoom; n.Spool.MaxBytes < least {
		found.fail("nats.spool.max_bytes", "it is %v: use at least %v, so that the largest event fits", n.Spool.MaxBytes, least)
	}
	found.check("nats.prefix", bridge.CheckName("prefix", n.Prefix))
	if !slices.Contains([]string{provisionCreate, provisionVerify, provisionNone}, n.Provision) {
		found.fail("nats.provision", "use %s, %s or %s", provisionCreate, provisionVerify, provisionNone)
	}
	if _, err := n.replicas(); err != nil {
		found.fail("nats.replicas", "%v", err)
	}
	if least := max(minEventsBytes, c.Ingress.MaxBody+queue.HeaderRoom); n.Events.MaxBytes < least {
		found.fail("nats.events.max_bytes", "it is %v: use at least %v, so that the largest event fits", n.Events.MaxBytes, least)
	}
	if n.Listen != nil && *n.Listen != "" && !isAddress(*n.Listen) {
		found.fail("nats.listen", "use a host and a port, such as %s, or nothing", queue.DefaultNATSListen)
	}
	for address := range strings.SplitSeq(n.URL, ",") {
		// Nothing of an address is repeated: people write passwords into it.
		u, err := url.Parse(strings.TrimSpace(address))
		switch {
		case n.URL == "":
		case err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
			found.fail("nats.url", "write addresses such as nats://nats-1:4222, with commas between")
		case u.User != nil:
			found.fail("nats.url", "credentials do not belong here: use nats.user and nats.password, creds or nkey")
		}
	}
	if window := c.duplicates(); time.Duration(n.Events.MaxAge) < window {
		found.fail("nats.events.max_age", "it is %v: use at least %v, for which duplicates are known", n.Events.MaxAge, window)
	}
	given := 0
	for _, s := range []string{n.Creds, n.NKey, n.User} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		found.fail("nats", "use only one of creds, nkey and user")
	}
	if (n.User == "") != (n.Password == "") {
		found.fail("nats.user", "user and password come together")
	}
	if (n.TLS.Cert == "") != (n.TLS.Key == "") {
		found.fail("nats.tls", "cert and key come together")
	}
	if n.URL == "" && (given > 0 || n.TLS != tlsConfig{}) {
		found.fail("nats", "creds, nkey, user and tls are for an external NATS: set nats.url too")
	}
	if n.URL != "" && n.Listen != nil {
		found.fail("nats.listen", "it is for the embedded server: remove it or nats.url")
	}
}

// replicas is 0 for auto.
func (n natsConfig) replicas() (int, error) {
	if n.Replicas == "auto" {
		return 0, nil
	}
	r, err := strconv.Atoi(n.Replicas)
	if err != nil || r < 1 || r > maxReplicas {
		return 0, fmt.Errorf("use auto, or 1 to %d", maxReplicas)
	}
	if r > 1 && n.URL == "" {
		return 0, fmt.Errorf("the embedded server keeps one replica: use auto or 1")
	}
	return r, nil
}

func (c *config) checkSource(found *checker, name string, s sourceConfig) {
	key := "sources." + name
	found.check(key, bridge.CheckName("source", name))
	kind, err := source.KindOf(s.Kind)
	if err != nil {
		found.fail(key+".kind", "%v", err)
		return
	}
	// Within the window a delivery that comes again is known to be a duplicate;
	// after it, it must be known to be stale.
	if limit := c.duplicates() - kind.RetrySpan(); s.MaxAge <= 0 || time.Duration(s.MaxAge) > limit {
		found.fail(key+".max_age", "it is %v: use more than zero and at most %v", s.MaxAge, limit.Truncate(time.Second))
	}
	checkAPI(found, key+".api", s.API)
	if len(s.Query) > bridge.MaxQueryKeys {
		found.fail(key+".query", "it has %d names: use at most %d", len(s.Query), bridge.MaxQueryKeys)
	}
	for _, q := range s.Query {
		found.check(key+".query", bridge.CheckName("query parameter", q))
	}
}

func (c *config) checkConsumer(found *checker, name string, cons consumerConfig) {
	key := "consumers." + name
	found.check(key, bridge.CheckName("consumer", name))
	if name == bridge.LedgerConsumer {
		found.fail(key, "the ledger of predictions has that name: choose another one")
	}
	kind, known := kinds[cons.Kind]
	if !known {
		found.fail(key+".kind", "use %s", strings.Join(sortedKeys(kinds), ", "))
		return
	}
	checkKeys(found, key, cons)
	found.check(key+".filter", cons.Filter.filter().Validate())
	if f := cons.Filter; f.Event != "" && f.Event != bridge.KindPrediction && len(f.Status) > 0 {
		found.fail(key+".filter.status", "it is for events of predictions: remove it, or filter.event")
	}
	if _, err := consumers.ParseStart(cons.Start); err != nil {
		found.fail(key+".start", "use new, all, or a time such as 2026-01-31T15:04:05Z")
	}
	if kind.handler != nil {
		checkAttempts(found, key, cons)
	}
	kind.check(c, found, key, cons)
}

// checkAttempts checks what only a consumer has whose handler runs here.
func checkAttempts(found *checker, key string, cons consumerConfig) {
	if cons.Concurrency < 1 || cons.Concurrency > consumers.MaxConcurrency {
		found.fail(key+".concurrency", "it is %d: use 1 to %d", cons.Concurrency, consumers.MaxConcurrency)
	}
	if float64(cons.Rate) > consumers.MaxRate {
		found.fail(key+".rate", "it is more than %.0f/s: use less, or 0 for no limit", float64(consumers.MaxRate))
	}
	if cons.Timeout < 0 {
		found.fail(key+".timeout", "it is %v: use more than zero, or 0 for none", cons.Timeout)
	}
	found.check(key+".retry", cons.Retry.retry().Validate())
}

// isAddress reports whether s is host:port; the host may be empty.
func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n <= 65535
}

func (r retryConfig) retry() consumers.Retry {
	return consumers.Retry{First: time.Duration(r.First), Max: time.Duration(r.Max), GiveUpAfter: time.Duration(r.GiveUpAfter)}
}
