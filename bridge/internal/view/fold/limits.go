package fold

// Limits of a [PredictionState].
const (
	MaxStateOutputs = 64
	MaxStateEvents  = 16
	MaxStateError   = 1 << 10
	MaxStateURL     = 4 << 10 // of one address; longer ones are left out
)
