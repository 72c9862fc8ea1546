package config

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
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/consumers"
)

const (
	minEventsBytes = ByteSize(1 << 20)
	maxReplicas    = 5
	minIdleTimeout = time.Second
)

// checker collects problems.
type Checker []Problem

func (c *Checker) Fail(key, format string, args ...any) {
	*c = append(*c, Problem{strings.Split(key, "."), fmt.Sprintf(format, args...)})
}

// check fails the key with the error, if there is one.
func (c *Checker) Check(key string, err error) {
	if err != nil {
		c.Fail(key, "%v", err)
	}
}

// problems is everything that is wrong, each with its remedy.
func (c *Config) problems() []Problem {
	var found Checker
	if c.DataDir == "" {
		found.Fail("data_dir", "it is empty: name a folder")
	}
	if _, err := zapcore.ParseLevel(c.Log.Level); err != nil {
		found.Fail("log.level", "use debug, info, warn or error")
	}
	if c.Log.Format != "json" && c.Log.Format != "console" {
		found.Fail("log.format", "use json or console")
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

func (c *Config) checkRoles(found *Checker) {
	if len(c.Roles) == 0 {
		found.Fail("roles", "it is empty: name some of %s, or remove it for all of them", strings.Join(roles, ", "))
	}
	for _, role := range c.Roles {
		if !slices.Contains(roles, role) {
			found.Fail("roles", "one of them is not known: use %s", strings.Join(roles, ", "))
			break
		}
	}
	if listen := c.Admin.Listen; listen != nil && *listen != "" && !isAddress(*listen) {
		found.Fail("admin.listen", "use a host and a port, such as %s, or nothing", admin.DefaultListen)
	}
	for _, host := range c.Admin.Hosts {
		found.Check("admin.hosts", admin.CheckHost(host))
	}
}

func (c *Config) checkIngress(found *Checker) {
	in := c.Ingress
	if !isAddress(in.Listen) {
		found.Fail("ingress.listen", "use a host and a port, such as 127.0.0.1:8080, or a port alone, such as :8080")
	}
	if in.Deadline <= 0 || time.Duration(in.Deadline) > ingress.MaxDeadline {
		found.Fail("ingress.deadline", "it is %v: use more than zero and at most %v", in.Deadline, ingress.MaxDeadline)
	}
	if limit := ByteSize(stream.MaxPayload - stream.HeaderRoom); in.MaxBody <= 0 || in.MaxBody > limit {
		found.Fail("ingress.max_body", "it is %d bytes: use 1 to %d", in.MaxBody, limit)
	}
	if in.MaxInFlight <= 0 {
		found.Fail("ingress.max_in_flight", "it is %d: use 1 or more", in.MaxInFlight)
	}
	if least := in.MaxBody + ingress.MaxHeaderBytes; in.MaxInFlightBytes < least {
		found.Fail("ingress.max_in_flight_bytes", "it is %v: use at least %d, which is ingress.max_body and 64 KiB for a header", in.MaxInFlightBytes, least)
	}
	if in.MaxConnections <= 0 {
		found.Fail("ingress.max_connections", "it is %d: use 1 or more", in.MaxConnections)
	}
	if idle := time.Duration(in.IdleTimeout); idle < minIdleTimeout || idle > ingress.MaxIdleTimeout {
		found.Fail("ingress.idle_timeout", "it is %v: use %v to %v, and more than the load balancer keeps idle connections", in.IdleTimeout, minIdleTimeout, ingress.MaxIdleTimeout)
	}
	if in.MaxConnectionsPerAddress < 0 {
		found.Fail("ingress.max_connections_per_address", "it is %d: use 1 or more, or 0 for no limit", in.MaxConnectionsPerAddress)
	}
	if in.BurstPerAddress < 0 || in.BurstPerAddress > 0 && in.RatePerAddress == 0 {
		found.Fail("ingress.burst_per_address", "it is %d: use 1 or more, together with ingress.rate_per_address", in.BurstPerAddress)
	}
	for _, p := range in.TrustedProxies {
		_, err := ingress.ParseProxy(p)
		found.Check("ingress.trusted_proxies", err)
	}
	if (in.TLS.Cert == "") != (in.TLS.Key == "") {
		found.Fail("ingress.tls", "cert and key come together")
	}
	if u, err := url.Parse(in.PublicURL); in.PublicURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		found.Fail("ingress.public_url", "write an address such as https://hooks.example.com, without query")
	}
	if in.ShutdownDelay < 0 || time.Duration(in.ShutdownDelay) > ingress.MaxShutdownDelay {
		found.Fail("ingress.shutdown_delay", "it is %v: use at most %v", in.ShutdownDelay, ingress.MaxShutdownDelay)
	}
}

func (c *Config) checkNATS(found *Checker) {
	n := c.NATS
	if c.Ingress.Ack != ackQuorum && c.Ingress.Ack != AckLocal {
		found.Fail("ingress.ack", "use quorum or local")
	}
	if c.Ingress.Ack == AckLocal && n.URL == "" {
		found.Fail("ingress.ack", "local is for an external NATS: the embedded one syncs to this machine's disk anyway")
	}
	if least := c.Ingress.MaxBody + stream.HeaderRoom; n.Spool.MaxBytes < least {
		found.Fail("nats.spool.max_bytes", "it is %v: use at least %v, so that the largest event fits", n.Spool.MaxBytes, least)
	}
	found.Check("nats.prefix", bridge.CheckName("prefix", n.Prefix))
	if !slices.Contains([]string{ProvisionCreate, ProvisionVerify, ProvisionNone}, n.Provision) {
		found.Fail("nats.provision", "use %s, %s or %s", ProvisionCreate, ProvisionVerify, ProvisionNone)
	}
	if _, err := n.ReplicaCount(); err != nil {
		found.Fail("nats.replicas", "%v", err)
	}
	if least := max(minEventsBytes, c.Ingress.MaxBody+stream.HeaderRoom); n.Events.MaxBytes < least {
		found.Fail("nats.events.max_bytes", "it is %v: use at least %v, so that the largest event fits", n.Events.MaxBytes, least)
	}
	if n.Listen != nil && *n.Listen != "" && !isAddress(*n.Listen) {
		found.Fail("nats.listen", "use a host and a port, such as %s, or nothing", stream.DefaultNATSListen)
	}
	for address := range strings.SplitSeq(n.URL, ",") {
		// Nothing of an address is repeated: people write passwords into it.
		u, err := url.Parse(strings.TrimSpace(address))
		switch {
		case n.URL == "":
		case err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
			found.Fail("nats.url", "write addresses such as nats://nats-1:4222, with commas between")
		case u.User != nil:
			found.Fail("nats.url", "credentials do not belong here: use nats.user and nats.password, creds or nkey")
		}
	}
	if window := c.Duplicates(); time.Duration(n.Events.MaxAge) < window {
		found.Fail("nats.events.max_age", "it is %v: use at least %v, for which duplicates are known", n.Events.MaxAge, window)
	}
	given := 0
	for _, s := range []string{n.Creds, n.NKey, n.User} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		found.Fail("nats", "use only one of creds, nkey and user")
	}
	if (n.User == "") != (n.Password == "") {
		found.Fail("nats.user", "user and password come together")
	}
	if (n.TLS.Cert == "") != (n.TLS.Key == "") {
		found.Fail("nats.tls", "cert and key come together")
	}
	if n.URL == "" && (given > 0 || n.TLS != tlsConfig{}) {
		found.Fail("nats", "creds, nkey, user and tls are for an external NATS: set nats.url too")
	}
	if n.URL != "" && n.Listen != nil {
		found.Fail("nats.listen", "it is for the embedded server: remove it or nats.url")
	}
}

// replicas is 0 for auto.
func (n NATSConfig) ReplicaCount() (int, error) {
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

func (c *Config) checkSource(found *Checker, name string, s sourceConfig) {
	key := "sources." + name
	found.Check(key, bridge.CheckName("source", name))
	kind, err := source.KindOf(s.Kind)
	if err != nil {
		found.Fail(key+".kind", "%v", err)
		return
	}
	// Within the window a delivery that comes again is known to be a duplicate;
	// after it, it must be known to be stale.
	if limit := c.Duplicates() - kind.RetrySpan(); s.MaxAge <= 0 || time.Duration(s.MaxAge) > limit {
		found.Fail(key+".max_age", "it is %v: use more than zero and at most %v", s.MaxAge, limit.Truncate(time.Second))
	}
	checkAPI(found, key+".api", s.API)
	if len(s.Query) > bridge.MaxQueryKeys {
		found.Fail(key+".query", "it has %d names: use at most %d", len(s.Query), bridge.MaxQueryKeys)
	}
	for _, q := range s.Query {
		found.Check(key+".query", bridge.CheckName("query parameter", q))
	}
}

func (c *Config) checkConsumer(found *Checker, name string, cons ConsumerConfig) {
	key := "consumers." + name
	found.Check(key, bridge.CheckName("consumer", name))
	if name == bridge.PredictionsConsumer {
		found.Fail(key, "the ledger of predictions has that name: choose another one")
	}
	kind, known := Kinds[cons.Kind]
	if !known {
		found.Fail(key+".kind", "use %s", strings.Join(slices.Sorted(maps.Keys(Kinds)), ", "))
		return
	}
	checkKeys(found, key, cons)
	found.Check(key+".filter", cons.Filter.Filter().Validate())
	if f := cons.Filter; f.Event != "" && f.Event != bridge.KindPrediction && len(f.Status) > 0 {
		found.Fail(key+".filter.status", "it is for events of predictions: remove it, or filter.event")
	}
	if _, err := ParseStart(cons.Start); err != nil {
		found.Fail(key+".start", "use new, all, or a time such as 2026-01-31T15:04:05Z")
	}
	if !kind.pulled {
		checkAttempts(found, key, cons)
	}
	kind.check(c, found, key, cons)
}

// checkAttempts checks what only a consumer has whose handler runs here.
func checkAttempts(found *Checker, key string, cons ConsumerConfig) {
	if cons.Concurrency < 1 || cons.Concurrency > consumers.MaxConcurrency {
		found.Fail(key+".concurrency", "it is %d: use 1 to %d", cons.Concurrency, consumers.MaxConcurrency)
	}
	if float64(cons.Rate) > consumers.MaxRate {
		found.Fail(key+".rate", "it is more than %.0f/s: use less, or 0 for no limit", float64(consumers.MaxRate))
	}
	if cons.Timeout < 0 {
		found.Fail(key+".timeout", "it is %v: use more than zero, or 0 for none", cons.Timeout)
	}
	found.Check(key+".retry", cons.Retry.retry().Validate())
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
