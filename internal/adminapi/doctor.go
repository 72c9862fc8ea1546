package adminapi

import "time"

// FindingLevel says how much a finding matters.
type FindingLevel string

// Levels of findings.
const (
	// FindingOK: it is as it should be.
	FindingOK FindingLevel = "ok"
	// FindingNote: a limit of what was chosen, which somebody should know.
	FindingNote FindingLevel = "note"
	// FindingWarning: something can be lost or found out, or will not work one day.
	FindingWarning FindingLevel = "warning"
	// FindingProblem: a promise is broken, or will be at the next fault.
	FindingProblem FindingLevel = "problem"
)

// FindingLevels returns all levels, the worst first.
func FindingLevels() []FindingLevel {
	return []FindingLevel{FindingProblem, FindingWarning, FindingNote, FindingOK}
}

// Grades of a deployment.
const (
	GradeSafe   = "safe"   // no problem, no warning
	GradeFair   = "fair"   // warnings
	GradeUnsafe = "unsafe" // problems
)

// Doctor says whether a deployment is safe.
type Doctor struct {
	At time.Time `json:"at"`
	// Grade is [GradeSafe], [GradeFair] or [GradeUnsafe].
	Grade string `json:"grade"`
	// Findings are the worst first.
	Findings []Finding `json:"findings"`
	// Unknown names the checks that could not be made, with the reason.
	Unknown []Unchecked `json:"unknown"`
}

// Finding is the result of one check.
type Finding struct {
	// Check is a word for programs, such as fsync.
	Check string `json:"check"`
	// Subject is what it is about, such as a source; empty for the whole.
	Subject string       `json:"subject,omitempty"`
	Level   FindingLevel `json:"level"`
	Why     string       `json:"why"`
	// Remedy is what to do, empty when nothing need be done.
	Remedy string `json:"remedy,omitempty"`
}

// Unchecked is a check that could not be made.
type Unchecked struct {
	Check string `json:"check"`
	Why   string `json:"why"`
}
