package console

import (
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/internal/adminapi"
)

var systemPages = map[string]page{
	"/system":                 {template: "system", title: "System", live: true, load: system},
	"/system/doctor":          {template: "system-doctor", title: "Doctor", rail: "system"},
	"/system/doctor/findings": {template: "system-findings", title: "Doctor", rail: "system", load: findings},
	"/system/config":          {template: "system-config", title: "Configuration", rail: "system", load: configuration},
	"/system/alarms":          {template: "system-alarms", title: "Alarms", rail: "system", live: true, load: alarms},
	"/system/audit":           {template: "system-audit", title: "Audit", rail: "system", load: auditList},
}

// tabs are the pages of the system.
var tabs = []choice{{"/system", "Overview"}, {"/system/doctor", "Doctor"}, {"/system/config", "Configuration"}, {"/system/alarms", "Alarms"}, {"/system/audit", "Audit"}}

// Tabs are the pages of the system.
func (s shown) Tabs() []choice { return tabs }

// Tab is the one that is shown.
func (s shown) Tab() string { return strings.TrimSuffix(s.request.URL.Path, "/findings") }

// systemData is the overview. Each problem is why its part is not there.
type systemData struct {
	View                                       adminapi.ViewStatus
	Journal                                    adminapi.Journal
	Config                                     adminapi.Config
	ViewProblem, JournalProblem, ConfigProblem error
	// NoJournal: the process has none.
	NoJournal bool
}

func system(v *visit) (any, error) {
	var d systemData
	var g errgroup.Group
	g.Go(func() error { d.View, d.ViewProblem = ask[adminapi.ViewStatus](v, "/view", nil); return nil })
	g.Go(func() error {
		d.Journal, d.JournalProblem = ask[adminapi.Journal](v, "/journal", nil)
		if p, ok := d.JournalProblem.(*problem); ok && p.Missing() { //nolint:errorlint // ask returns it as it is
			d.NoJournal, d.JournalProblem = true, nil
		}
		return nil
	})
	g.Go(func() error { d.Config, d.ConfigProblem = ask[adminapi.Config](v, "/config", nil); return nil })
	return d, g.Wait()
}

// JournalFull is the share of the journal that is in use.
func (d systemData) JournalFull() float64 {
	if d.Journal.MaxBytes == 0 {
		return 0
	}
	return float64(d.Journal.Bytes+d.Journal.SetAsideBytes) / float64(d.Journal.MaxBytes)
}

// Set returns the value of a key as a text.
func (d systemData) Set(key string) string { return settingOf(d.Config, key) }

// findingsData is an examination.
type findingsData struct{ adminapi.Doctor }

// Counts are how many findings there are of each level that has some.
func (d findingsData) Counts() (out []string) {
	of := map[adminapi.FindingLevel]int{}
	for _, f := range d.Findings {
		of[f.Level]++
	}
	for _, level := range adminapi.FindingLevels() {
		switch n := of[level]; {
		case n == 0:
		case n == 1 || level == adminapi.FindingOK:
			out = append(out, fmt.Sprintf("%d %s", n, level))
		default:
			out = append(out, fmt.Sprintf("%d %ss", n, level))
		}
	}
	return out
}

// GradeWords says what the grade means.
func (d findingsData) GradeWords() string {
	switch d.Grade {
	case adminapi.GradeSafe:
		return "This deployment is safe: there is no problem and no warning."
	case adminapi.GradeFair:
		return "This deployment is fair: it keeps its promises now, and something can still be lost or found out."
	}
	return "This deployment is unsafe: a promise is broken, or will be at the next fault."
}

func findings(v *visit) (any, error) {
	d, err := ask[adminapi.Doctor](v, "/doctor", nil)
	return findingsData{d}, err
}
