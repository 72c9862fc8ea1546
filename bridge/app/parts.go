package app

// part is a part of a process. After opening something that must be closed, start adds it to
// onStop.
type part struct {
	name  string
	start func() error
}

// parts are the parts of an App in the order of their start. Each uses only results of those
// above it. The first half opens and builds: there it shows what a configuration lacks, before
// NATS is changed. The second half runs.
func (a *App) parts() []part {
	return []part{
		{"sources", a.readSources},
		{"event store", a.openStore},
		{"ingress", a.openIngress}, // listens from here on
		{"providers", a.openProviders},
		{"submissions", a.openSubmits},
		{"consumers", a.openConsumers},
		{"view", a.openView},
		{"reloading", a.openReloader},

		{"gateway", a.runGateway},
		{"streams", a.runProvisioner},
		{"housekeeping", a.runHousekeeping},
		{"ingress", a.runIngress},
		{"view", a.runView},
		{"erasing", a.runErasing},
		{"API", a.runAPI},
		{"redelivery", a.runRedelivery},
		{"predictions", a.runPredictions},
		{"consumers", a.runConsumers},
		{"reloading", a.runReloader},
	}
}
