package console

import (
	"slices"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// entry is a page that the rail leads to. Key follows g on the keyboard.
type entry struct{ Name, Title, Path, Key string }

var entries = []entry{
	{"now", "Now", "/", "n"},
	{"predictions", "Predictions", "/predictions", "p"},
	{"dead", "Dead letters", "/dead", "d"},
	{"quarantine", "Quarantine", "/quarantine", "q"},
	{"consumers", "Consumers", "/consumers", "c"},
	{"models", "Models", "/models", "m"},
	{"live", "Live", "/live", "l"},
	{"jobs", "Jobs", "/jobs", "j"},
	{"system", "System", "/system", "s"},
}

// Entries are the pages of the rail.
func (s shown) Entries() []entry { return entries }

// Place is the entry of the rail that the page belongs to, nil if there is none.
func (s shown) Place() *entry {
	if i := slices.IndexFunc(entries, func(e entry) bool { return e.Name == s.Rail }); i >= 0 {
		return &entries[i]
	}
	return nil
}

// Who is who visits.
func (s shown) Who() adminapi.Caller { return s.who }
