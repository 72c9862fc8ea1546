package config

import "github.com/hookspan/hookspan/internal/streams"

// Journal is the log on this machine that every accepted delivery goes through before NATS has
// it. A process with the role ingress has one in its data folder, unless ingress.ack is stream.
type Journal struct {
	// MaxBytes bounds what waits for NATS and what was set aside; when the journal is full,
	// deliveries are answered 503. Default 2GiB, at least ingress.max_body and 64 KiB.
	MaxBytes ByteSize `yaml:"max_bytes"`
}

// At 83 events a second of 1.2 kB the journal lasts for more than four hours without NATS.
var defaultJournal = Journal{MaxBytes: 2 << 30}

func (j Journal) check(c *Config, found *Checker) {
	if largest := c.Ingress.MaxBody + streams.HeaderRoom; j.MaxBytes < largest {
		found.Fail("journal.max_bytes", "it is %v: use at least %v, so that the largest event fits", j.MaxBytes, largest)
	}
}
