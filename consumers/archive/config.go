package archive

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Config says where outputs are kept and where they may come from. The zero value of a field
// means the default that the field names.
type Config struct {
	// Name is the name of the consumer, for alarms and metrics.
	Name string
	// Location is where the archive is, required. A missing folder is created, with mode 0750;
	// a bucket must exist. Several processes may share the archive.
	Location Location
	// Hosts are the names of the hosts that outputs may come from; *.example.com is every host below
	// example.com. Without any, only outputs that are no addresses are stored.
	// Hosts are compared as browsers compare them, without regard to case and spelling; the
	// port of an address does not matter. Redirects may lead to these hosts only.
	Hosts []string
	// AllowPrivate permits private and loopback addresses, http to them, and any port,
	// for local trials. Hosts holds nevertheless.
	AllowPrivate bool
	// MaxOutput is how many bytes one output can have, default [DefaultMaxOutput]. A larger
	// one is not archived.
	MaxOutput int64
	// Parallel is how many outputs of one event are stored at once, default [DefaultParallel], at most
	// [MaxParallel]. Each takes 256 KiB of memory on the way to a folder, and up to about 20 MiB
	// on the way to a bucket.
	Parallel int
	// Timeout bounds the download of one output, default 30 min, without the wait for disk
	// space.
	Timeout time.Duration
	// Stall is the longest wait for a connection, for the header of an answer,
	// and for the next KiB of its body, default 30 s.
	Stall time.Duration
	// Reserve returns how many bytes must stay free on the disk that the folder is on,
	// because the event store may still need them. Several goroutines call Reserve at once,
	// before every file and every 16 MiB. Nil means none.
	Reserve func() (int64, error)
	// Life returns how long the provider of a source keeps outputs after the event's time, 0
	// when that is unknown. Nil means 0.
	Life func(source string) time.Duration
	// Delay returns how long after the first attempt on an event from a source its outputs may
	// still be missing. Until then the archive asks for an output that is answered with 403 or
	// 404 again, every few seconds at first and once a minute at last. After the delay such an
	// answer is final. Nil means 0.
	Delay func(source string) time.Duration
	// MaxBytes is how many bytes the archive may hold, at least twice MaxOutput; 0 means as
	// many as there is room for. The archive counts what it holds at the first event, by a walk
	// through the folder or one call for every thousand objects. The archive does not see what
	// other processes store after that. What somebody removes is seen after five minutes, once
	// no output is on its way.
	MaxBytes int64
	// Publish returns once the event is durable that says what is archived, see
	// [bridge.Archived]; to publish the same event again must do no harm. The error wraps
	// bridge.ErrTooLarge when the event can never be stored, and then the archive tries a short
	// form of it. Several goroutines call Publish at once. Nil publishes nothing.
	Publish func(context.Context, *bridge.Event) error
	// Alarms gets what a person should know of. Nil raises no alarms.
	Alarms bridge.Alarmer
	// Logger gets a line every 30 s about a download that takes long. Nil means none.
	Logger *slog.Logger
}

// DefaultMaxOutput is the default of Config.MaxOutput: 2 GiB.
const DefaultMaxOutput = 2 << 30

// DefaultParallel is the default of Config.Parallel.
const DefaultParallel = 4

// MaxParallel bounds Config.Parallel.
const MaxParallel = 256

func (c Config) withDefaults() Config {
	c.MaxOutput = cmp.Or(c.MaxOutput, DefaultMaxOutput)
	c.Parallel = cmp.Or(c.Parallel, DefaultParallel)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Minute)
	c.Stall = cmp.Or(c.Stall, 30*time.Second)
	if c.Reserve == nil {
		c.Reserve = func() (int64, error) { return 0, nil }
	}
	if c.Life == nil {
		c.Life = func(string) time.Duration { return 0 }
	}
	if c.Delay == nil {
		c.Delay = func(string) time.Duration { return 0 }
	}
	if c.Alarms == nil {
		c.Alarms = bridge.NoAlarms{}
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return c
}

func (c Config) validate() error {
	switch {
	case c.Location.Dir == "" && c.Location.Bucket == "":
		return fmt.Errorf("location is empty: name the folder or the bucket that outputs are kept in")
	case c.MaxOutput < 0:
		return fmt.Errorf("max output is %d bytes: it must be positive, or 0 for the default", c.MaxOutput)
	case c.MaxBytes < 0 || c.MaxBytes > 0 && c.MaxBytes < 2*c.MaxOutput:
		return fmt.Errorf("max bytes is %d: it must be at least twice max output, which is %d, or 0 for no limit", c.MaxBytes, c.MaxOutput)
	case c.Parallel < 0 || c.Parallel > MaxParallel:
		return fmt.Errorf("parallel is %d: it must be 1 to %d, or 0 for the default", c.Parallel, MaxParallel)
	case c.Timeout < 0:
		return fmt.Errorf("timeout is %v: it must be positive, or 0 for the default", c.Timeout)
	case c.Stall < 0:
		return fmt.Errorf("stall is %v: it must be positive, or 0 for the default", c.Stall)
	}
	for _, h := range c.Hosts {
		if err := CheckHost(h); err != nil {
			return fmt.Errorf("hosts: %w", err)
		}
	}
	return nil
}

// CheckHost returns an error unless h, in whatever spelling, can be the host of a URL, or is "*." and
// a host with a dot in it, which is every host below that one. Any other pattern would silently
// match nothing.
func CheckHost(h string) error {
	name, family := strings.CutPrefix(h, "*.")
	_, err := canonicalHost(name)
	_, no := netip.ParseAddr(name)
	switch {
	case err != nil, no != nil && strings.ContainsAny(name, "/\\:@*?#[]% \t\r\n"), family && (no == nil || !strings.Contains(strings.Trim(name, "."), ".")):
		return fmt.Errorf("%.80q is not a host name: write it without scheme, port and path, such as cdn.example.com, or *.example.com for all hosts below example.com", h)
	}
	return nil
}
