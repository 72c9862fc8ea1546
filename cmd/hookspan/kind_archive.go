package main

import (
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/source"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/archive"
)

const kindArchive = "archive"

var archiveKind = kind{
	keys:     []string{"store", "hosts", "allow_private", "max_output", "max_bytes", "parallel"},
	defaults: fillArchiveDefaults,
	check:    checkArchive,
	does:     archiveDoes,
	lacks:    archiveLacks,
	handler:  newArchive,
}

func fillArchiveDefaults(c *config, cons *consumerConfig) {
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
		life = max(life, duration(c.outputLife(name)))
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
func (c *config) outputLife(name string) time.Duration {
	kind, err := source.KindOf(c.Sources[name].Kind)
	if err != nil {
		return 0
	}
	return kind.OutputLife()
}

// outputDelay is how long outputs of a source may come late.
func (c *config) outputDelay(name string) time.Duration {
	kind, err := source.KindOf(c.Sources[name].Kind)
	if err != nil {
		return source.DefaultOutputDelay
	}
	return kind.OutputDelay()
}

const defaultArchiveText = "the default consumer archive keeps its outputs there: name a store, or switch that one off with consumers.archive.enabled: false"

func checkArchive(c *config, found *checker, key string, cons consumerConfig) {
	if f := cons.Filter; f.Event != "" && f.Event != bridge.KindPrediction && f.filter().Validate() == nil {
		found.fail(key+".filter.event", "an archive keeps the outputs of predictions: remove it")
	}
	if cons.Parallel < 0 || cons.Parallel > archive.MaxParallel {
		found.fail(key+".parallel", "it is %d: use 1 to %d", cons.Parallel, archive.MaxParallel)
	}
	if cons.MaxBytes > 0 && cons.MaxBytes < 2*cons.MaxOutput {
		found.fail(key+".max_bytes", "it is %v: use at least twice max_output, which is %v, or 0 for no limit", cons.MaxBytes, cons.MaxOutput)
	}
	for _, host := range cons.Hosts {
		found.check(key+".hosts", archive.CheckHost(host))
	}
	at, err := c.archiveLocation(cons)
	found.check(key+".store", err)
	for _, ours := range []string{".", "exec", "nats", "secrets", "spool"} {
		if own := filepath.Join(c.DataDir, ours); at.Dir != "" && (at.Dir == own || ours != "." && strings.HasPrefix(at.Dir, own+"/")) {
			found.fail(key+".store", "the bridge keeps its own files there: use another folder")
		}
	}
	for _, other := range sortedKeys(c.Consumers) {
		theirs := c.Consumers[other]
		if "consumers."+other == key {
			break
		}
		if taken, broken := c.archiveLocation(theirs); theirs.Kind == kindArchive && err == nil && broken == nil && taken.String() == at.String() {
			switch {
			case cons.Implied: // the file has no line of it
				found.fail("consumers."+other+".store", defaultArchiveText)
			case theirs.Implied:
				found.fail(key+".store", defaultArchiveText)
			default:
				found.fail(key+".store", "consumer %s keeps its outputs there: use another folder or prefix", other)
			}
		}
	}
}

func archiveDoes(c *config, cons consumerConfig) string {
	at, err := c.archiveLocation(cons)
	if err != nil {
		return "archives outputs" // it was checked
	}
	return "archives outputs in " + at.String()
}

func newArchive(p *parts, name string, c consumerConfig) (consumers.Handler, error) {
	at, err := p.cfg.archiveLocation(c)
	if err != nil {
		return nil, err
	}
	cfg := archive.Config{
		Name: name, Location: at, Hosts: c.Hosts, AllowPrivate: c.AllowPrivate, MaxOutput: int64(c.MaxOutput), MaxBytes: int64(c.MaxBytes),
		Parallel: c.Parallel, Life: p.cfg.outputLife, Delay: p.cfg.outputDelay,
		Publish: p.store.publishEvent, Alarms: p.store.alarms, Logger: p.log.Named("archive").With(zap.String("consumer", name)),
	}
	if at.Dir != "" {
		cfg.Reserve = p.store.reserve(at.Dir)
	}
	a, err := archive.New(cfg)
	if err != nil {
		return nil, err
	}
	p.onStop.add(a.Close)
	return a, register(p.metrics, a.Collectors()...)
}

// archiveLocation is where an archive keeps its files.
func (c *config) archiveLocation(cons consumerConfig) (archive.Location, error) {
	if cons.Store == "" {
		return archive.Location{Dir: filepath.Join(c.DataDir, "archive")}, nil
	}
	return archive.ParseLocation(cons.Store, cons.AllowPrivate)
}
