package adminapi

// EraseCall says what to erase for good: one prediction, or those of a tenant.
type EraseCall struct {
	Source     string `json:"source,omitempty"`
	Prediction string `json:"prediction,omitempty"`
	Tenant     string `json:"tenant,omitempty"`
	// Limit is how many predictions of a tenant one call erases, 1 to 1000; default 100.
	Limit  int  `json:"limit,omitempty"`
	DryRun bool `json:"dry_run,omitempty"`
}

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
	// More: the tenant may have more predictions; repeat the call.
	More bool `json:"more"`
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

// Add adds the report of the next call.
func (r *EraseReport) Add(next EraseReport) {
	r.DryRun, r.Complete, r.More, r.Beyond = next.DryRun, next.Complete, next.More, next.Beyond
	r.Predictions += next.Predictions
	for _, p := range next.Places {
		at := -1
		for i := range r.Places {
			if r.Places[i].Place == p.Place {
				at = i
			}
		}
		if at < 0 {
			r.Places = append(r.Places, p)
			continue
		}
		r.Places[at].Count += p.Count
		r.Places[at].Left, r.Places[at].Error = p.Left, p.Error
	}
}
