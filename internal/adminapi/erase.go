package adminapi

import "github.com/hookspan/hookspan/bridge"

// EraseCall says which prediction to erase for good.
type EraseCall struct {
	Source     string `json:"source"`
	Prediction string `json:"prediction"`
	DryRun     bool   `json:"dry_run,omitempty"`
}

// EraseTenant says whose predictions a job erases for good. The job knows the tenant by its
// [HashedName].
type EraseTenant struct {
	Tenant string `json:"tenant"`
}

// HashedName is what is kept of the name of a prediction of a source, or, without a source, of a
// tenant, where the name itself must not stay: [bridge.ErasedHash] behind "sha256:".
func HashedName(source, name string) string { return "sha256:" + bridge.ErasedHash(source, name) }

// EraseReport says what was erased.
type EraseReport struct {
	DryRun bool `json:"dry_run"`
	// Predictions is how many were to be erased.
	Predictions int          `json:"predictions"`
	Places      []ErasePlace `json:"places"`
	// Complete: nothing failed, and a search found nothing in any place afterwards.
	Complete bool `json:"complete"`
	// Beyond names what no call reaches.
	Beyond []string `json:"beyond,omitempty"`
}

// ErasePlace is what was erased in one place, or with a dry run, what would be.
type ErasePlace struct {
	Place string `json:"place"`
	Count int    `json:"count"`
	// Left is how many things the search found there afterwards.
	Left int `json:"left,omitempty"`
	// Error says what kept it from being complete; repeat the call once that is repaired.
	Error string `json:"error,omitempty"`
}

// Failed reports whether a place could not be erased or searched.
func (r *EraseReport) Failed() bool {
	for _, p := range r.Places {
		if p.Error != "" || p.Left > 0 {
			return true
		}
	}
	return false
}
