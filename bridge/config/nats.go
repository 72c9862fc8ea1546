package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streams"
)

// NATS is where events are kept.
type NATS struct {
	// URL is the address of an external NATS, or several with commas between, such as
	// nats://nats-1:4222. Default empty: the embedded server.
	URL string `yaml:"url"`
	// Listen is the embedded server's address for other programs; empty lets none connect.
	// Beyond loopback the passwords travel in clear. Default 127.0.0.1:4222, or a free
	// port when that is taken.
	Listen *string `yaml:"listen"`
	// Creds is the path of a credentials file, for an external NATS. At most one of creds,
	// nkey and user is given.
	Creds string `yaml:"creds"`
	// NKey is the path of a file with an nkey seed, for an external NATS.
	NKey string `yaml:"nkey"`
	// User is the user of an external NATS. It comes with password.
	User string `yaml:"user"`
	// Password is that of user.
	Password SecretRef `yaml:"password"`
	// TLS is about the connection to an external NATS.
	TLS ClientTLS `yaml:"tls"`
	// Provision says what is done with streams, buckets and durables. create: they are made
	// what they are to be. verify: they are compared, and a difference is an alarm. none:
	// nothing is looked at. Default create.
	Provision string `yaml:"provision"`
	// Replicas of each stream when it is created: auto (3 in a cluster, 1 elsewhere), or a
	// number from 1 to 5. Default auto.
	Replicas string `yaml:"replicas"`
	// Prefix begins every subject, and in upper case every stream's name. Default hookspan.
	Prefix string `yaml:"prefix"`
	// Events is about the stream of events.
	Events Events `yaml:"events"`
}

// ClientTLS names the PEM files by which the bridge and an external NATS know each other.
type ClientTLS struct {
	// CA is the path of the authorities that are trusted. Default those of the system.
	CA string `yaml:"ca"`
	// Cert is the path of the client's certificate. It comes with key.
	Cert string `yaml:"cert"`
	// Key is the path of the client's private key.
	Key string `yaml:"key"`
}

// Events is about the stream of events.
type Events struct {
	// MaxBytes is the size of the stream; when it is full, deliveries are answered 503. The
	// other streams get a share of it beside it. Default 10GiB, at least ingress.max_body
	// and 64 KiB.
	MaxBytes ByteSize `yaml:"max_bytes"`
	// MaxAge is the age at which events are removed. Default 336h, at least 2h.
	MaxAge Duration `yaml:"max_age"`
}

// Values of NATS.Provision.
const (
	ProvisionCreate = "create" // make streams, buckets and durables as they should be
	ProvisionVerify = "verify" // raise alarms for differences
	ProvisionNone   = "none"   // look at nothing
)

// DefaultNATSListen is the embedded server's address when the file names none. When the address
// is taken, the bridge uses a free port beside it.
const DefaultNATSListen = "127.0.0.1:4222"

const (
	autoReplicas   = "auto"
	maxReplicas    = 5
	minEventsBytes = ByteSize(1 << 20)
)

var (
	provisionModes = []string{ProvisionCreate, ProvisionVerify, ProvisionNone}

	defaultNATS = NATS{
		Provision: ProvisionCreate,
		Replicas:  autoReplicas,
		Prefix:    bridge.DefaultPrefix,
		Events:    Events{MaxBytes: 10 << 30, MaxAge: Duration(14 * 24 * time.Hour)},
	}
)

func (n NATS) check(c *Config, found *Checker) {
	largest := c.Ingress.MaxBody + streams.HeaderRoom
	if least := max(minEventsBytes, largest); n.Events.MaxBytes < least {
		found.Fail("nats.events.max_bytes", "it is %v: use at least %v, so that the largest event fits", n.Events.MaxBytes, least)
	}
	if window := c.Duplicates(); n.Events.MaxAge < Duration(window) {
		found.Fail("nats.events.max_age", "it is %v: use at least %v, for which duplicates are known", n.Events.MaxAge, window)
	}
	found.Check("nats.prefix", bridge.CheckName("prefix", n.Prefix))
	found.oneOf("nats.provision", n.Provision, provisionModes)
	_, err := n.ReplicaCount()
	found.Check("nats.replicas", err)
	if n.Listen != nil && *n.Listen != "" && !isAddress(*n.Listen) {
		found.Fail("nats.listen", "use a host and a port, such as %s, or nothing", DefaultNATSListen)
	}
	if n.URL != "" {
		for address := range strings.SplitSeq(n.URL, ",") {
			found.Check("nats.url", checkServer(address))
		}
		if n.Listen != nil {
			found.Fail("nats.listen", "it is for the embedded server: remove it or nats.url")
		}
	}
	n.checkCredentials(found)
}

// checkServer repeats nothing of an address: people write passwords into it.
func checkServer(address string) error {
	u, err := url.Parse(strings.TrimSpace(address))
	switch {
	case err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
		return errors.New("write addresses such as nats://nats-1:4222, with commas between")
	case u.User != nil:
		return errors.New("credentials do not belong here: use nats.user and nats.password, creds or nkey")
	}
	return nil
}

func (n NATS) checkCredentials(found *Checker) {
	given := 0
	for _, s := range []string{n.Creds, n.NKey, n.User} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		found.Fail("nats", "use only one of creds, nkey and user")
	}
	found.together("nats.user", "user and password", n.User, string(n.Password))
	found.together("nats.tls", "cert and key", n.TLS.Cert, n.TLS.Key)
	if n.URL == "" && (given > 0 || n.TLS != ClientTLS{}) {
		found.Fail("nats", "creds, nkey, user and tls are for an external NATS: set nats.url too")
	}
}

// ReplicaCount returns Replicas as a number, 0 for auto.
func (n NATS) ReplicaCount() (int, error) {
	if n.Replicas == autoReplicas {
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
