package config

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers/archive"
)

// KindArchive is the kind of an [Archive].
const KindArchive = "archive"

// Archive is a consumer that downloads every output of a prediction and keeps it.
type Archive struct {
	Common   `yaml:",inline"`
	Attempts `yaml:",inline"`

	// Store is where outputs are kept: file:// and an absolute path, or
	// s3://bucket/prefix?region=…. Default the folder archive in the data folder.
	Store string `yaml:"store"`
	// Hosts are the hosts that outputs may come from, redirects too; "*.example.com" is every
	// host below example.com. Default those of the
	// kinds of the sources.
	Hosts []string `yaml:"hosts"`
	// AllowPrivate permits http, any port, and private or loopback addresses too, for local
	// trials. Default false.
	AllowPrivate bool `yaml:"allow_private"`
	// MaxOutput is the size of the largest output that is archived. Default 2GiB.
	MaxOutput ByteSize `yaml:"max_output"`
	// MaxBytes is the size of the whole archive, at least twice max_output. Default 0: no limit.
	MaxBytes ByteSize `yaml:"max_bytes"`
	// Parallel is how many outputs of one event are downloaded at once. Default 4, at most 256.
	Parallel int `yaml:"parallel"`
}

const defaultArchiveConcurrency = 4

func (a *Archive) fill(c *Config) {
	if len(a.Filter.Status) == 0 && (a.Filter.Event == "" || a.Filter.Event == bridge.KindPrediction) {
		a.Filter.Status = Strings{bridge.StatusCompleted}
	}
	a.Start = cmp.Or(a.Start, "all")
	a.Concurrency = cmp.Or(a.Concurrency, defaultArchiveConcurrency)
	a.MaxOutput = cmp.Or(a.MaxOutput, archive.DefaultMaxOutput)
	var life Duration
	var hosts []string
	for name, s := range c.Sources {
		life = max(life, Duration(c.OutputLife(name)))
		if kind, err := s.Sender(); err == nil {
			hosts = append(hosts, kind.OutputHosts...)
		}
	}
	if len(a.Hosts) == 0 {
		a.Hosts = hosts
	}
	a.Retry.GiveUpAfter = cmp.Or(a.Retry.GiveUpAfter, life) // as long as the provider keeps outputs
}

const defaultArchiveText = "the default consumer archive keeps its outputs there: name a store, or switch that one off with consumers.archive.enabled: false"

func (a *Archive) check(c *Config, name string, found *Checker) {
	key := "consumers." + name
	a.checkAttempts(key, found)
	if f := a.Filter; f.Event != "" && f.Event != bridge.KindPrediction && f.Filter().Validate() == nil {
		found.Fail(key+".filter.event", "an archive keeps the outputs of predictions: remove it")
	}
	if a.Parallel < 0 || a.Parallel > archive.MaxParallel {
		found.Fail(key+".parallel", "it is %d: use 1 to %d", a.Parallel, archive.MaxParallel)
	}
	if a.MaxBytes > 0 && a.MaxBytes < 2*a.MaxOutput {
		found.Fail(key+".max_bytes", "it is %v: use at least twice max_output, which is %v, or 0 for no limit", a.MaxBytes, a.MaxOutput)
	}
	for _, host := range a.Hosts {
		found.Check(key+".hosts", archive.CheckHost(host))
	}
	at, err := c.ArchiveLocation(a)
	if err != nil {
		found.Check(key+".store", err)
		return
	}
	for _, ours := range []string{".", "exec", "journal", "nats", "secrets", "spool"} {
		if own := filepath.Join(c.DataDir, ours); at.Dir != "" && (at.Dir == own || ours != "." && strings.HasPrefix(at.Dir, own+"/")) {
			found.Fail(key+".store", "the bridge keeps its own files there: use another folder")
		}
	}
	a.checkNoOther(c, name, at, found)
}

// checkNoOther finds an archive with an earlier name and the same store.
func (a *Archive) checkNoOther(c *Config, name string, at archive.Location, found *Checker) {
	key := "consumers." + name
	for _, other := range slices.Sorted(maps.Keys(c.Consumers)) {
		if other == name {
			return
		}
		theirs, is := c.Consumers[other].(*Archive)
		if !is {
			continue
		}
		taken, err := c.ArchiveLocation(theirs)
		switch {
		case err != nil || taken.String() != at.String():
		case a.Implied: // the file has no line for it
			found.Fail("consumers."+other+".store", defaultArchiveText)
		case theirs.Implied:
			found.Fail(key+".store", defaultArchiveText)
		default:
			found.Fail(key+".store", "consumer %s keeps its outputs there: use another folder or prefix", other)
		}
	}
}

// Does implements [Consumer].
func (a *Archive) Does(c *Config) string {
	at, err := c.ArchiveLocation(a)
	if err != nil {
		return "archives outputs" // cannot happen: the store was checked
	}
	return "archives outputs in " + at.String()
}

// ArchiveLocation returns where an archive keeps its files.
func (c *Config) ArchiveLocation(a *Archive) (archive.Location, error) {
	if a.Store == "" {
		return archive.Location{Dir: filepath.Join(c.DataDir, "archive")}, nil
	}
	return archive.ParseLocation(a.Store, a.AllowPrivate)
}
