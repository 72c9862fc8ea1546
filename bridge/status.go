package bridge

// Normalised statuses of a prediction. A status that is none of these is
// carried as [EncodeToken] of what the sender said, and is not terminal.
const (
	StatusCreated    = "created"
	StatusProcessing = "processing"
	StatusCompleted  = "completed"
	StatusFailed     = "failed"
	StatusCanceled   = "canceled"
)

// Terminal reports whether a prediction with the normalised status never
// changes again.
func Terminal(status string) bool {
	switch status {
	case StatusCompleted, StatusFailed, StatusCanceled:
		return true
	}
	return false
}
