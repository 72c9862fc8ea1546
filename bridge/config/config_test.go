package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hookspan.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestDefaultConfig(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", write(t, ""), write(t, "# nothing\n"), write(t, "data_dir: ./hookspan-data\n")} {
		cfg, err := Load(path)
		require.NoError(t, err)
		require.True(t, filepath.IsAbs(cfg.DataDir))
		require.Equal(t, Source{Kind: "get3w", Secrets: []SecretRef{"env:GET3W_WEBHOOK_SECRET"}, MaxAge: Duration(time.Hour)}, cfg.Sources["get3w"])
		archive := cfg.Consumers["archive"].(*Archive)
		require.Equal(t, []string{"cdn.get3w.com"}, archive.Hosts)
		require.Equal(t, "all", archive.Start)
		require.Equal(t, Strings{"completed"}, archive.Filter.Status)
		at, err := cfg.ArchiveLocation(archive)
		require.NoError(t, err)
		require.Equal(t, filepath.Join(cfg.DataDir, "archive"), at.Dir)
		require.EqualValues(t, 10<<30, cfg.NATS.Events.MaxBytes)
		require.Equal(t, Duration(5*time.Second), cfg.Ingress.Deadline)
		require.Equal(t, Duration(620*time.Second), cfg.Ingress.IdleTimeout, "above the 600 s of common load balancers")
	}
	cfg, err := Load(write(t, "consumers: {archive: {enabled: false}}\n"))
	require.NoError(t, err)
	require.Empty(t, cfg.Consumers, "the file has the key, so there is no consumer that it does not name")
}

// What an answer waits for depends on where the streams are.
func TestAck(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       AckLocal,
		"nats: {url: nats://a}":  AckQuorum,
		"ingress: {ack: quorum}": AckQuorum,
		"ingress: {ack: local}\nnats: {url: nats://a}":  AckLocal,
		"ingress: {ack: stream}\nnats: {url: nats://a}": AckStream,
	} {
		cfg, err := Load(write(t, text+"\n"))
		require.NoError(t, err, text)
		require.Equal(t, want, cfg.Ingress.Ack, text)
		require.Equal(t, Journal{MaxBytes: 2 << 30}, cfg.Journal)
	}
	_, err := Load(write(t, "ingress: {ack: stream}\n"))
	require.ErrorContains(t, err, "stream is for an external NATS")
	_, err = Load(write(t, "journal: {max_bytes: 1MiB}\n"))
	require.ErrorContains(t, err, "journal.max_bytes")
}

func TestWholeConfig(t *testing.T) {
	t.Parallel()
	cfg, err := Load(write(t, `
data_dir: /var/lib/hookspan
log: {level: debug, format: console}
ingress: {listen: ":1", deadline: 25s, max_body: 1MiB, max_in_flight: 7, max_in_flight_bytes: 2MB, max_connections: 9, idle_timeout: 65s, max_connections_per_address: 3,
  rate_per_address: 600/m, burst_per_address: 20, trusted_proxies: [10.1.2.3/8, 192.0.2.7, "fd00::/8"], tls: {cert: /c, key: /k}, shutdown_delay: 10s, ack: quorum}
journal: {max_bytes: 3GiB}
nats: {listen: "", replicas: 1, prefix: mine, events: {max_bytes: 1GiB, max_age: 336h}}
sources:
  get3w:
    kind: get3w
    secrets: [env:A, file:/b]
    max_age: 10m
    path_token: file:/c
    query: [ref, tenant]
consumers:
  kept:
    kind: archive
    store: file:///srv/archive/
    hosts: [a.example, b.example]
    allow_private: true
    max_output: 5GiB
    filter: {source: get3w, status: [completed, failed], model: "google/*"}
    start: 2026-01-31T15:04:05Z
    concurrency: 8
    retry: {first: 2s, max: 1m, give_up_after: 72h}
  search:
    kind: pull
    filter: {status: "*", model: google/*}
    lease: 2m
    max_deliveries: 7
  defaults: {kind: pull}
`))
	require.NoError(t, err)
	require.Equal(t, ByteSize(2_000_000), cfg.Ingress.MaxInFlightBytes)
	require.Equal(t, Ingress{
		Listen: ":1", Deadline: Duration(25 * time.Second), MaxBody: 1 << 20, MaxInFlight: 7, MaxInFlightBytes: 2_000_000,
		MaxConnections: 9, IdleTimeout: Duration(65 * time.Second), MaxConnectionsPerAddress: 3, RatePerAddress: 10, BurstPerAddress: 20,
		TrustedProxies: []string{"10.1.2.3/8", "192.0.2.7", "fd00::/8"}, TLS: Certificate{Cert: "/c", Key: "/k"}, ShutdownDelay: Duration(10 * time.Second), Ack: AckQuorum,
	}, cfg.Ingress)
	require.Equal(t, Journal{MaxBytes: 3 << 30}, cfg.Journal)
	require.Empty(t, *cfg.NATS.Listen)
	require.Equal(t, []SecretRef{"env:A", "file:/b"}, cfg.Sources["get3w"].Secrets)
	kept := cfg.Consumers["kept"].(*Archive)
	require.Equal(t, bridge.Filter{Sources: []string{"get3w"}, Statuses: []string{"completed", "failed"}, Model: "google/*"}, kept.Filter.Filter())
	at, err := cfg.ArchiveLocation(kept)
	require.NoError(t, err)
	require.Equal(t, "/srv/archive", at.Dir)
	require.Equal(t, Duration(time.Minute), kept.Retry.Max)
	require.Equal(t, &Pull{
		Common: Common{Kind: "pull", Filter: Filter{Status: Strings{"*"}, Model: "google/*"}, Start: "new"}, Lease: Duration(2 * time.Minute), MaxDeliveries: 7,
	}, cfg.Consumers["search"])
	require.Equal(t, &Pull{
		Common: Common{Kind: "pull", Filter: Filter{Status: Strings{"completed", "failed"}}, Start: "new"}, Lease: Duration(30 * time.Second), MaxDeliveries: 20,
	}, cfg.Consumers["defaults"])
}

// Each error is one line with its place and what to do.
func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "data_dir: x\ndata_dirs: y\n", `:2:1: "data_dirs" is not a key here`},
		{"key of a later version", "console: {}\n", `:1:1: "console" is not a key here`},
		{"no role", "roles: []\n", `:1:8: roles: it is empty: name some of ingress, consumers, reconciler, admin`},
		{"role of a later version", "roles: [ingress, console]\n", `:1:8: roles: one of them is not known: use ingress, consumers, reconciler, admin`},
		{"admin address", "admin:\n  listen: \"8081\"\n", `:2:11: admin.listen: use a host and a port, such as 127.0.0.1:8081, or nothing`},
		{"admin host", "admin: {hosts: [\"https://ops.example.com\"]}\n", `admin.hosts: "https://ops.example.com" is no name of a host: write one such as ops.example.com`},
		{"unknown nested key", "ingress:\n  listen: x\n  tsl: {}\n", `:3:3: "tsl" is not a key here`},
		{"duplicate key", "data_dir: x\ndata_dir: y\n", `:2:1:`},
		{"syntax", "ingress: {listen: [\n", `:1:`},
		{"tab", "ingress:\n\tlisten: x\n", `:2:1:`},
		{"not a map", "- a\n", `:1:`},
		{"wrong type", "ingress: {max_in_flight: many}\n", `:1:26: a value of another type belongs here`},
		{"two documents", "data_dir: x\n---\ndata_dir: y\n", `2 documents`},
		{"size", "ingress:\n  max_body: big\n", `:2:13: this is no size`},
		{"negative size", "ingress: {max_body: -1}\n", `is no size`},
		{"body over payload", "ingress:\n  max_body: 8MiB\n", `:2:13: ingress.max_body: it is 8388608 bytes: use 1 to 8323072`},
		{"deadline", "ingress:\n  deadline: 26s\n", `:2:13: ingress.deadline: it is 26s: use more than zero and at most 25s`},
		{"zero deadline", "ingress: {deadline: 0s}\n", `ingress.deadline`},
		{"deadline without unit", "ingress: {deadline: 5}\n", `this is no duration: write one such as 5s`},
		{"in flight", "ingress: {max_in_flight: 0}\n", `ingress.max_in_flight: it is 0`},
		{"in flight bytes", "ingress: {max_in_flight_bytes: 1MiB}\n", `ingress.max_in_flight_bytes: it is 1.0 MiB: use at least 4259840, which is ingress.max_body and 64 KiB for a header`},
		{"in flight bytes without room for a header", "ingress: {max_in_flight_bytes: 4MiB}\n", `use at least 4259840`},
		{"connections", "ingress: {max_connections: 0}\n", `ingress.max_connections: it is 0: use 1 or more`},
		{"no idle timeout", "ingress:\n  idle_timeout: 0s\n", `:2:17: ingress.idle_timeout: it is 0s: use 1s to 1h0m0s, and more than the load balancer keeps idle connections`},
		{"idle timeout", "ingress: {idle_timeout: 61m}\n", `ingress.idle_timeout: it is 1h1m0s`},
		{"connections per address", "ingress: {max_connections_per_address: -1}\n", `or 0 for no limit`},
		{"rate", "ingress:\n  rate_per_address: 50\n", `:2:21: this is no rate: write one such as 50/s`},
		{"rate unit", "ingress: {rate_per_address: 50/d}\n", `this is no rate`},
		{"rate zero", "ingress: {rate_per_address: 0/s}\n", `this is no rate`},
		{"burst alone", "ingress: {burst_per_address: 5}\n", `together with ingress.rate_per_address`},
		{"proxy", "ingress: {trusted_proxies: [10.0.0.0/8, proxy]}\n", `ingress.trusted_proxies: "proxy" is no address and no network`},
		{"certificate alone", "ingress: {tls: {cert: a}}\n", `ingress.tls: cert and key come together`},
		{"shutdown delay", "ingress: {shutdown_delay: 2m}\n", `ingress.shutdown_delay: it is 2m0s: use at most 1m0s`},
		{"log level", "log: {level: loud}\n", `log.level: use debug`},
		{"log format", "log: {format: xml}\n", `log.format: use json`},
		{"log deliveries", "log: {deliveries: none}\n", `log.deliveries: use all or problems`},
		{"empty data_dir", "data_dir: \"\"\n", `data_dir: it is empty`},
		{"prefix", "nats: {prefix: a.b}\n", `nats.prefix`},
		{"replicas", "nats: {url: \"nats://x\", replicas: 9}\n", `nats.replicas: use auto, or 1 to 5`},
		{"replicas embedded", "nats: {replicas: 3}\n", `the embedded server keeps one replica`},
		{"events bytes", "nats: {events: {max_bytes: 1KiB}}\n", `use at least 4.1 MiB`},
		{"events age", "nats: {events: {max_age: 1h}}\n", `use at least 2h0m0s`},
		{"two credentials", "nats: {url: \"nats://x\", creds: a, nkey: b}\n", `only one of creds, nkey, user and token`},
		{"context and url", "nats: {context: prod, url: \"nats://a:4222\"}\n", `nats.url: nats.context says that`},
		{"context and inbox", "nats: {context: prod, inbox_prefix: _INBOX_a}\n", `nats.inbox_prefix: nats.context says that`},
		{"context and listen", "nats: {context: prod, listen: \"127.0.0.1:0\"}\n", `it is for the embedded server: remove it or nats.context`},
		{"domain of the embedded server", "nats: {domain: hub}\n", `domain, inbox_prefix and placement are for an external NATS`},
		{"placement of the embedded server", "nats: {placement: {tags: [eu]}}\n", `domain, inbox_prefix and placement are for an external NATS`},
		{"token of the embedded server", "nats: {token: env:T}\n", `token and tls are for an external NATS`},
		{"domain with a wildcard", "nats: {url: \"nats://a:4222\", domain: \"a.>\"}\n", `nats.domain: use a name without points`},
		{"inbox with a wildcard", "nats: {url: \"nats://a:4222\", inbox_prefix: \"a.*\"}\n", `nats.inbox_prefix: use a subject without wildcards`},
		{"empty tag", "nats: {url: \"nats://a:4222\", placement: {tags: [\" \"]}}\n", `nats.placement.tags: one is empty`},
		{"credentials in the address", "nats:\n  url: nats://user:pw@host:4222\n", `:2:8: nats.url: credentials do not belong here`},
		{"no address", "nats: {url: \"::no\"}\n", `nats.url: write addresses such as`},
		{"webhook address", "ingress:\n  listen: \"8080\"\n", `:2:11: ingress.listen: use a host and a port`},
		{"webhook port", "ingress: {listen: \":99999\"}\n", `ingress.listen`},
		{"NATS address", "nats: {listen: nonsense}\n", `nats.listen: use a host and a port`},
		{"events for one body", "nats: {events: {max_bytes: 2MiB}}\n", `so that the largest event fits`},
		{"host with scheme", "consumers: {archive: {enabled: false}, a: {kind: archive, hosts: [\"https://cdn.get3w.com/\"]}}\n", `is not a host name`},
		{"store among the working folders", "data_dir: /d\nconsumers: {archive: {enabled: false}, a: {kind: archive, store: \"file:///d/exec\"}}\n", `keeps its own files there`},
		{"store in the data folder", "data_dir: /d\nconsumers: {archive: {enabled: false}, a: {kind: archive, store: \"file:///d/nats/x\"}}\n", `keeps its own files there`},
		{"store is the data folder", "data_dir: /d\nconsumers: {archive: {enabled: false}, a: {kind: archive, store: \"file:///d\"}}\n", `keeps its own files there`},
		{"credentials embedded", "nats: {creds: a}\n", `set nats.url too`},
		{"user alone", "nats: {url: \"nats://x\", user: a}\n", `user and password come together`},
		{"cert alone", "nats: {url: \"nats://x\", tls: {cert: a}}\n", `cert and key come together`},
		{"listen external", "nats: {url: \"nats://x\", listen: \"127.0.0.1:1\"}\n", `remove it or nats.url`},
		{"source name", "sources:\n  Get3W: {}\n", `:2:`},
		{"source kind", "sources:\n  a: {kind: gitlab}\n", `:2:13: sources.a.kind: unknown kind "gitlab": use one of assemblyai`},
		{"max age", "sources:\n  a: {max_age: 2h}\n", `use more than zero and at most 1h56m20s`},
		{"query", "sources: {a: {query: [A]}}\n", `query parameter "A"`},
		{"queries", "sources: {a: {query: [a,b,c,d,e,f,g,h,i]}}\n", `use at most 8`},
		{"consumer name", "consumers: {archive: {enabled: false}, A: {kind: archive}}\n", `consumer "A"`},
		{"consumer kind", "consumers:\n  a:\n    kind: bogus\n", `:3:11: consumers.a.kind: use archive, exec, forward, pull`},
		{"filter", "consumers: {archive: {enabled: false}, a: {kind: archive, filter: {source: A}}}\n", `filter source "A"`},
		{"filter event", "consumers: {archive: {enabled: false}, a: {kind: archive, filter: {event: outputs.lost}}}\n", `use one of prediction, outputs.archived, watch.set, watch.lost`},
		{"the name of predictions' dead letters", "consumers: {archive: {enabled: false}, predictions: {kind: archive}}\n", `have that name`},
		{"API without a key", "sources: {get3w: {api: {base_url: https://api.example.com/v3}}}\n", `it has no key`},
		{"keys in clear", "sources: {fal: {kind: fal, keys_url: http://keys.example.com/jwks.json}}\n", `sources.fal.keys_url: use the address of a document on https`},
		{"keys of a sender that has none", "sources: {get3w: {keys_url: https://keys.example.com/jwks.json}}\n", `senders of kind get3w have no public keys`},
		{"API in clear", "sources: {get3w: {api: {key: env:K, base_url: http://api.example.com/v3}}}\n", `use https, or http to an address of this machine`},
		{"API with credentials", "sources: {get3w: {api: {key: env:K, base_url: https://u:p@api.example.com/v3}}}\n", `without credentials`},
		{"poll after", "sources: {get3w: {api: {key: env:K, poll_after: 25h}}}\n", `use at most 24h0m0s`},
		{"keep", "view: {keep: 15m}\n", `use 1h0m0s to 336h0m0s`},
		{"give up after", "predictions: {give_up_after: 1s}\n", `use 1m0s to 720h0m0s`},
		{"public URL", "ingress: {public_url: hooks.example.com}\n", `write an address such as https://hooks.example.com`},
		{"archive of what is archived", "consumers: {archive: {enabled: false}, a: {kind: archive, filter: {event: outputs.archived}}}\n", `keeps the outputs of predictions`},
		{"max bytes", "consumers: {archive: {enabled: false}, a: {kind: archive, max_bytes: 3GiB}}\n", `use at least twice max_output, which is 2.0 GiB`},
		{"parallel", "consumers: {archive: {enabled: false}, a: {kind: archive, parallel: 257}}\n", `use 1 to 256`},
		{"start", "consumers: {archive: {enabled: false}, a: {kind: archive, start: yesterday}}\n", `use new, all`},
		{"concurrency", "consumers: {archive: {enabled: false}, a: {kind: archive, concurrency: -1}}\n", `use 1 to 4096`},
		{"rate", "consumers: {archive: {enabled: false}, a: {kind: archive, rate: 2000000/s}}\n", `more than 1000000/s`},
		{"timeout", "consumers: {archive: {enabled: false}, a: {kind: archive, timeout: -1s}}\n", `timeout`},
		{"retry", "consumers: {archive: {enabled: false}, a: {kind: archive, retry: {max: 200h}}}\n", `at most 168h0m0s`},
		{"lease", "consumers: {a: {kind: pull, lease: 10ms}}\n", `consumers.a.lease: it is 10ms: use 1s to 1h0m0s`},
		{"max deliveries", "consumers: {a: {kind: pull, max_deliveries: 10001}}\n", `consumers.a.max_deliveries: it is 10001: use 2 to 10000`},
		{"key of a worker", "consumers:\n  a: {kind: pull, concurrency: 2}\n", `:2:32: consumers.a.concurrency: a consumer of kind pull has no such key`},
		{"key of pull", "consumers: {archive: {enabled: false}, a: {kind: archive, lease: 10s}}\n", `consumers.a.lease: a consumer of kind archive has no such key`},
		{"glob that NATS has not", "consumers: {a: {kind: pull, filter: {model: \"google/nano*\"}}}\n", `consumers.a.filter.model: NATS cannot filter by it`},
		{"store", "consumers: {archive: {enabled: false}, a: {kind: archive, store: \"gs://bucket\"}}\n", `use file:///var/lib/hookspan/archive, or s3://bucket/prefix?region=`},
		{"store with credentials", "consumers: {archive: {enabled: false}, a: {kind: archive, store: \"s3://key:word@bucket\"}}\n", `credentials do not belong here`},
		{"store in clear", "consumers: {archive: {enabled: false}, a: {kind: archive, store: \"s3://bucket?endpoint=http://h\"}}\n", `use https, or allow_private`},
		{"bucket twice", "consumers: {archive: {enabled: false}, a: {kind: archive, store: \"s3://b-u/x\"}, b: {kind: archive, store: \"s3://b-u/x/?region=r\"}}\n", `consumer a keeps its outputs there`},
		{"store relative", "consumers: {archive: {enabled: false}, a: {kind: archive, store: \"file://rel\"}}\n", `use file:///var/lib/hookspan/archive`},
		{"store of the default archive", "consumers: {z: {kind: archive}}\n", `consumers.z.store: the default consumer archive keeps its outputs there: name a store, or switch that one off`},
		{"default archive behind", "consumers: {a: {kind: archive}}\n", `consumers.a.store: the default consumer archive keeps`},
		{"store twice", "consumers: {archive: {enabled: false}, a: {kind: archive}, b: {kind: archive}}\n", `consumer a keeps its outputs there`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(write(t, c.text))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n", "one line")
			require.Contains(t, err.Error(), "hookspan.yaml:")
		})
	}
}

// A secret that is written where its place belongs is not repeated.
func TestConfigErrorsNeverShowASecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"sources:\n  get3w:\n    secrets: [" + sampleSecret + "]\n",
		"sources:\n  get3w:\n    secrets: " + sampleSecret + "\n",
		"sources:\n  get3w:\n    secrets: [env:A]\n    path_token: " + sampleSecret + "\n",
		"sources:\n  get3w:\n    secrets:\n      - env:A\n      - " + sampleSecret + "\n    bogus: 1\n",
		"sources:\n  get3w:\n    secrets: {a: " + sampleSecret + "}\n",
		"nats: {url: \"nats://x\", user: a, password: " + sampleSecret + "}\n",
		"sources:\n  get3w:\n    secrets: [" + sampleSecret + "\n",
		"sources: {get3w: {secrets: [" + sampleSecret + "]}}\n",
		"ingress: {max_body: " + sampleSecret + "}\n",
		"ingress: {deadline: " + sampleSecret + "}\n",
		"ingress: {max_in_flight: " + sampleSecret + "}\n",
		"ingress: {listen: " + sampleSecret + "}\n",
		"nats: {url: \"nats://a:" + sampleSecret + "@h\"}\n",
		"nats: {url: \"nats://a:" + sampleSecret + "%zz@h\"}\n",
		"nats: {replicas: " + sampleSecret + "}\n",
		"nats: {listen: " + sampleSecret + "}\n",
		"roles: [" + sampleSecret + "]\n",
		"admin: {listen: " + sampleSecret + "}\n",
		"log: {level: " + sampleSecret + "}\n",
		"consumers: {a: {kind: " + sampleSecret + "}}\n",
		"consumers: {archive: {enabled: false}, a: {kind: archive, start: " + sampleSecret + "}}\n",
		"consumers: {archive: {enabled: false}, a: {kind: archive, store: " + sampleSecret + "}}\n",
	} {
		_, err := Load(write(t, text))
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), sampleSecret, text)
	}
}

func TestSecretsBetweenBraces(t *testing.T) {
	t.Parallel()
	cfg, err := Load(write(t, "sources: {a: {secrets: [env:A, file:/b], path_token: env:T}}\n"))
	require.NoError(t, err)
	require.Equal(t, []SecretRef{"env:A", "file:/b"}, cfg.Sources["a"].Secrets)
	require.Equal(t, SecretRef("env:T"), cfg.Sources["a"].PathToken)
}

func TestConfigFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorContains(t, err, "none.yaml")
	_, err = Load(write(t, strings.Repeat("#", MaxConfigBytes+1)))
	require.ErrorContains(t, err, "larger than")
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	getenv := func(name string) (string, bool) { return map[string]string{"A": "v w"}[name], name == "A" }
	for text, want := range map[string]string{"s": "s", "s\n": "s", "s\r\n": "s", "s t": "s t", "": ""} {
		got, err := SecretRef("file:" + write(t, text)).Resolve(getenv)
		require.NoError(t, err)
		require.Equal(t, want, string(got), "%q", text)
	}
	got, err := SecretRef("env:A").Resolve(getenv)
	require.NoError(t, err)
	require.Equal(t, "v w", string(got))
	got, err = SecretRef("env:B").Resolve(getenv)
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = SecretRef("env:B").Require(getenv)
	require.ErrorContains(t, err, "env:B is empty or not set")
	_, err = SecretRef("file:/no/such").Resolve(getenv)
	require.ErrorContains(t, err, "/no/such")
	_, err = SecretRef("file:" + write(t, strings.Repeat("x", maxSecret+1))).Resolve(getenv)
	require.ErrorContains(t, err, "larger")
	for _, bad := range []string{"", "x", "env:", "file:", "vault:x", sampleSecret} {
		var ref SecretRef
		require.Error(t, ref.UnmarshalText([]byte(bad)))
	}
}

func TestStatusOfWhatIsArchived(t *testing.T) {
	t.Parallel()
	cfg := defaults()
	cfg.fill()
	cfg.Consumers["a"] = &Archive{Common: Common{Kind: KindArchive, Filter: Filter{Event: bridge.KindArchived, Status: Strings{"failed"}}}}
	require.Contains(t, cfg.problems(), Problem{
		keys: []string{"consumers", "a", "filter", "status"}, text: "it is for events of predictions: remove it, or filter.event",
	})
}

func FuzzConfig(f *testing.F) {
	f.Add("data_dir: x\n")
	f.Add("sources: {a: {secrets: [env:A], max_age: 1h}}\nconsumers: {b: {kind: archive, start: all}}\n")
	f.Add("consumers: {a: &x {kind: pull, lease: 1m}, b: *x, c: {<<: *x, filter: {source: s}}, archive: , d: }\n")
	f.Add("ingress: {max_body: 1e3}\n? [a]\n: &x {<<: *x}\n")
	f.Fuzz(func(t *testing.T, text string) {
		cfg := defaults()
		doc := Document{name: "f"}
		if doc.decode([]byte(text), cfg) != nil {
			return
		}
		cfg.fill()
		for _, p := range cfg.problems() {
			if doc.at(p) == nil {
				t.Fatalf("%v is no error", p)
			}
		}
	})
}
