// Package examples has programs that read a consumer, as texts for whoever begins with one.
package examples

import _ "embed"

// The programs, each a file of its own. Their stream is HOOKSPAN_EVENTS and their subjects begin
// with "hookspan.", which is right unless nats.prefix is set.
var (
	//go:embed go/main.go
	Go string
	//go:embed node/consumer.mjs
	Node string
	//go:embed python/consumer.py
	Python string
	//go:embed shell/consumer.sh
	Shell string
)
