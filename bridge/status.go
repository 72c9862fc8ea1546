package bridge

// Normalised statuses of a prediction. Any other status is [EncodeToken] of the sender's
// text and not terminal.
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
