package app

// part is one part of a process, and starts it. What a part opens, it gives to onStop on
// the next line.
type part struct {
	name  string
	start func() error
}

// parts are those of an App in the order of their start. Each uses only what those above
// it have made. The first half opens and builds: what a configuration lacks shows there,
// before anything is changed in NATS. The second half runs.
func (a *App) parts() []part {
	return []part{
		{"sources", a.readSources},
		{"event store", a.openStore},
		{"waiting for predictions", a.openWaiting},
		{"ingress", a.openIngress}, // it listens from here on
		{"providers", a.openProviders},
		{"submissions", a.openSubmits},
		{"consumers", a.openConsumers},
		{"predictions", a.openPredictions},
		{"reloading", a.openReloader},

		{"gateway", a.runGateway},
		{"streams", a.runProvisioner},
		{"housekeeping", a.runHousekeeping},
		{"ingress", a.runIngress},
		{"API", a.runAPI},
		{"redelivery", a.runRedelivery},
		{"predictions", a.runPredictions},
		{"consumers", a.runConsumers},
		{"reloading", a.runReloader},
	}
}
