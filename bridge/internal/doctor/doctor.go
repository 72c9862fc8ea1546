// Package doctor judges by facts whether a deployment is safe, and says why and what to do. It
// does no input or output.
package doctor

import (
	"fmt"
	"slices"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

// Checks, as findings name them.
const (
	CheckAdmin    = "admin_listener"
	CheckAlarms   = "alarms"
	CheckAPI      = "provider_api"
	CheckArchive  = "archive"
	CheckClock    = "clock"
	CheckConfig   = "configuration"
	CheckDisk     = "disk"
	CheckFsync    = "fsync"
	CheckJournal  = "journal"
	CheckNATS     = "nats"
	CheckNATSTLS  = "nats_tls"
	CheckOpen     = "open_files"
	CheckOutage   = "outage"
	CheckReady    = "ready"
	CheckReplicas = "replicas"
	CheckRights   = "rights"
	CheckSecrets  = "secrets"
	CheckSource   = "source"
	CheckStreams  = "streams"
	CheckTarget   = "target"
	CheckView     = "view"
	CheckWindow   = "duplicate_window"
)

// Report collects findings. The zero value is empty.
type Report struct {
	findings []adminapi.Finding
	unknown  []adminapi.Unchecked
}

// maxWhy bounds a text of a finding, in bytes: it can repeat what a server says.
const maxWhy = 1024

func (r *Report) add(level adminapi.FindingLevel, check, subject, remedy, why string, args ...any) {
	r.findings = append(r.findings, adminapi.Finding{
		Check: check, Subject: printable.String(subject), Level: level, Why: printable.Truncate(printable.String(fmt.Sprintf(why, args...)), maxWhy), Remedy: remedy,
	})
}

func (r *Report) ok(check, subject, why string, args ...any) {
	r.add(adminapi.FindingOK, check, subject, "", why, args...)
}

func (r *Report) note(check, subject, remedy, why string, args ...any) {
	r.add(adminapi.FindingNote, check, subject, remedy, why, args...)
}

func (r *Report) warning(check, subject, remedy, why string, args ...any) {
	r.add(adminapi.FindingWarning, check, subject, remedy, why, args...)
}

func (r *Report) problem(check, subject, remedy, why string, args ...any) {
	r.add(adminapi.FindingProblem, check, subject, remedy, why, args...)
}

// Lack adds what a configuration lacks on this machine, under its key, unless a problem of that key
// is there already.
func (r *Report) Lack(key, why string) {
	for _, f := range r.findings {
		if f.Level == adminapi.FindingProblem && f.Subject == key {
			return
		}
	}
	r.problem(CheckConfig, key, "repair it: hookspan config check names the line", "hookspan serve refuses it, or does less than it is told to: %s", why)
}

// Unknown says that a check could not be made.
func (r *Report) Unknown(check, why string) {
	r.unknown = append(r.unknown, adminapi.Unchecked{Check: check, Why: printable.Truncate(printable.String(why), maxWhy)})
}

// Add adds the findings of another report.
func (r *Report) Add(other *Report) {
	r.findings, r.unknown = append(r.findings, other.findings...), append(r.unknown, other.unknown...)
}

// Result is the report as operators read it, the worst findings first.
func (r *Report) Result(at time.Time) adminapi.Doctor {
	levels := adminapi.FindingLevels()
	d := adminapi.Doctor{At: at, Grade: adminapi.GradeSafe, Findings: append([]adminapi.Finding{}, r.findings...), Unknown: append([]adminapi.Unchecked{}, r.unknown...)}
	slices.SortStableFunc(d.Findings, func(a, b adminapi.Finding) int {
		return slices.Index(levels, a.Level) - slices.Index(levels, b.Level)
	})
	if len(d.Findings) > 0 {
		switch d.Findings[0].Level {
		case adminapi.FindingProblem:
			d.Grade = adminapi.GradeUnsafe
		case adminapi.FindingWarning:
			d.Grade = adminapi.GradeFair
		case adminapi.FindingNote, adminapi.FindingOK:
		}
	}
	return d
}
