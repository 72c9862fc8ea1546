package adminapi

// Scopes of a token: what its holder may do. None includes another one.
const (
	// ScopeRead is to ask.
	ScopeRead = "read"
	// ScopeAct is to change what is stored, and how it is handled.
	ScopeAct = "act"
	// ScopeSubmit is to announce predictions and to submit them.
	ScopeSubmit = "submit"
)

// Scopes returns all scopes.
func Scopes() []string { return []string{ScopeRead, ScopeAct, ScopeSubmit} }

const (
	// MinToken is the size of the shortest token, in bytes.
	MinToken = 16
	// MaxToken is the size of the longest one.
	MaxToken = 512
	// Loopback is who calls without a token, where none is needed.
	Loopback = "loopback"
)

// Caller is who calls the API.
type Caller struct {
	// Name is that of a token, or [Loopback].
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
}
