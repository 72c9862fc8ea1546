package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/consumers/archive"
)

const KindArchive = "archive"

var archiveKind = kind{
	keys:     []string{"store", "hosts", "allow_private", "max_output", "max_bytes", "parallel"},
	defaults: fillArchiveDefaults,
	check:    checkArchive,
	Does:     archiveDoes,
}

func fillArchiveDefaults(c *Config, cons *ConsumerConfig) {
	if len(cons.Filter.Status) == 0 && (cons.Filter.Event == "" || cons.Filter.Event == bridge.KindPrediction) {
		cons.Filter.Status = stringList{bridge.StatusCompleted}
	}
	if cons.Start == "" {
		cons.Start = "all"
	}
	if cons.Concurrency == 0 {
		cons.Concurrency = 4
	}
	if cons.MaxOutput == 0 {
		cons.MaxOutput = archive.DefaultMaxOutput
	}
	var life duration
	var hosts []string
	for name, s := range c.Sources {
		life = max(life, duration(c.OutputLife(name)))
		if kind, err := source.KindOf(s.Kind); err == nil {
			hosts = append(hosts, kind.OutputHosts()...)
		}
	}
	if len(cons.Hosts) == 0 {
		cons.Hosts = hosts
	}
	if cons.Retry.GiveUpAfter == 0 {
		cons.Retry.GiveUpAfter = life // as long as there is something to be had
	}
}

// outputLife is how long the provider of a source keeps outputs, 0 when nobody knows.
func (c *Config) OutputLife(name string) time.Duration {
	kind, err := source.KindOf(c.Sources[name].Kind)
	if err != nil {
		return 0
	}
	return kind.OutputLife()
}

// outputDelay is how long outputs of a source may come late.
func (c *Config) OutputDelay(name string) time.Duration {
	kind, err := source.KindOf(c.Sources[name].Kind)
	if err != nil {
		return source.DefaultOutputDelay
	}
	return kind.OutputDelay()
}

const defaultArchiveText = "the default consumer archive keeps its outputs there: name a store, or switch that one off with consumers.archive.enabled: false"

func checkArchive(c *Config, found *Checker, key string, cons ConsumerConfig) {
	if f := cons.Filter; f.Event != "" && f.Event != bridge.KindPrediction && f.Filter().Validate() == nil {
		found.Fail(key+".filter.event", "an archive keeps the outputs of predictions: remove it")
	}
	if cons.Parallel < 0 || cons.Parallel > archive.MaxParallel {
		found.Fail(key+".parallel", "it is %d: use 1 to %d", cons.Parallel, archive.MaxParallel)
	}
	if cons.MaxBytes > 0 && cons.MaxBytes < 2*cons.MaxOutput {
		found.Fail(key+".max_bytes", "it is %v: use at least twice max_output, which is %v, or 0 for no limit", cons.MaxBytes, cons.MaxOutput)
	}
	for _, host := range cons.Hosts {
		found.Check(key+".hosts", archive.CheckHost(host))
	}
	at, err := c.ArchiveLocation(cons)
	found.Check(key+".store", err)
	for _, ours := range []string{".", "exec", "nats", "secrets", "spool"} {
		if own := filepath.Join(c.DataDir, ours); at.Dir != "" && (at.Dir == own || ours != "." && strings.HasPrefix(at.Dir, own+"/")) {
			found.Fail(key+".store", "the bridge keeps its own files there: use another folder")
		}
	}
	for _, other := range slices.Sorted(maps.Keys(c.Consumers)) {
		theirs := c.Consumers[other]
		if "consumers."+other == key {
			break
		}
		if taken, broken := c.ArchiveLocation(theirs); theirs.Kind == KindArchive && err == nil && broken == nil && taken.String() == at.String() {
			switch {
			case cons.Implied: // the file has no line of it
				found.Fail("consumers."+other+".store", defaultArchiveText)
			case theirs.Implied:
				found.Fail(key+".store", defaultArchiveText)
			default:
				found.Fail(key+".store", "consumer %s keeps its outputs there: use another folder or prefix", other)
			}
		}
	}
}

func archiveDoes(c *Config, cons ConsumerConfig) string {
	at, err := c.ArchiveLocation(cons)
	if err != nil {
		return "archives outputs" // it was checked
	}
	return "archives outputs in " + at.String()
}

// archiveLocation is where an archive keeps its files.
func (c *Config) ArchiveLocation(cons ConsumerConfig) (archive.Location, error) {
	if cons.Store == "" {
		return archive.Location{Dir: filepath.Join(c.DataDir, "archive")}, nil
	}
	return archive.ParseLocation(cons.Store, cons.AllowPrivate)
}
