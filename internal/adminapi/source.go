package adminapi

// Source is a sender whose webhooks a process takes.
type Source struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Webhook is the address that the sender posts to: below ingress.public_url or, without
	// one, that of the listener. A path token follows it.
	Webhook string `json:"webhook"`
	// Public: Webhook is below ingress.public_url.
	Public bool `json:"public"`
	// PathToken: the address ends with a secret, which Webhook lacks.
	PathToken bool `json:"path_token,omitempty"`
	// HasSecret: a signature can be checked. Without it everything is refused.
	HasSecret bool `json:"has_secret"`
	// Secrets are the places of the secrets, such as env:GET3W_WEBHOOK_SECRET.
	Secrets []string `json:"secrets"`
	// SignatureHeader is the HTTP header that has the signature.
	SignatureHeader string `json:"signature_header,omitempty"`
}

// SourceList are the sources by name, none in a process without the role ingress.
type SourceList struct {
	Sources []Source `json:"sources"`
}
