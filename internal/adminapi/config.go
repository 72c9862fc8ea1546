package adminapi

// Config is the configuration that the answering process uses.
type Config struct {
	// Version is that of the program.
	Version string `json:"version"`
	// File is where the configuration was read from; empty: it is the default one.
	File string `json:"file,omitempty"`
	// Settings are all keys that have a value, defaults too, in the order of the file's
	// reference.
	Settings []Setting `json:"settings"`
	// Restart names the keys whose value in the file has changed since the process was started
	// and that take effect only after a restart.
	Restart []string `json:"restart"`
}

// Setting is one key with the value in use. A secret is shown as its place, and what may hold
// one is cut.
type Setting struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
	// Line is that of the key in the file; 0 for a default or a flag.
	Line int `json:"line,omitempty"`
	// Flag: the command line of the process sets it.
	Flag bool `json:"flag,omitempty"`
}
