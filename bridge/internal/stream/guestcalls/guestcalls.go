// Package guestcalls defines which calls to JetStream programs of other accounts may make, and
// the subjects on which the bridge receives them.
package guestcalls

import (
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

const jsAPI = "$JS.API."

// The two calls that return one message.
const (
	directGet = jsAPI + "DIRECT.GET."
	getMsg    = jsAPI + "STREAM.MSG.GET."
)

// Subject returns where the bridge receives the call that JetStream has at the subject api,
// such as $JS.API.INFO.
func Subject(n bridge.Names, api string) string {
	to := n.AllCalls()
	if get, _ := IsGet(api); get {
		to = n.AllGets()
	}
	return strings.TrimSuffix(to, ">") + strings.TrimPrefix(api, jsAPI)
}

// Parse undoes [Subject]; api is "" for another subject.
func Parse(n bridge.Names, subject string) (api string) {
	for _, pattern := range []string{n.AllCalls(), n.AllGets()} {
		if tail, ok := strings.CutPrefix(subject, strings.TrimSuffix(pattern, ">")); ok {
			return jsAPI + tail
		}
	}
	return ""
}

// Allowed returns the subject patterns of the calls that programs of other accounts may make.
// Each has one answer and changes nothing: they read what exists, events, attempt
// records, the room for waiting events, and dead letters, for a program to recognise its own.
func Allowed(n bridge.Names) []string {
	events := n.EventsStream()
	return []string{
		jsAPI + "INFO",
		jsAPI + "STREAM.NAMES",
		jsAPI + "STREAM.LIST",
		jsAPI + "STREAM.INFO." + events,
		jsAPI + "STREAM.INFO." + n.AttemptsStream(),
		jsAPI + "STREAM.INFO." + n.DeadStream(),
		jsAPI + "STREAM.INFO." + n.LaterStream(),
		jsAPI + "CONSUMER.NAMES." + events,
		jsAPI + "CONSUMER.LIST." + events,
		jsAPI + "CONSUMER.INFO." + events + ".>",
		getMsg + events,
		directGet + events,
		directGet + events + ".>",
		directGet + n.AttemptsStream() + ".>",
		directGet + n.DeadStream(),
	}
}

// IsAllowed reports whether api is one of [Allowed].
func IsAllowed(n bridge.Names, api string) bool {
	return slices.ContainsFunc(Allowed(n), func(pattern string) bool {
		prefix, many := strings.CutSuffix(pattern, ">")
		return api == pattern && !many || many && len(api) > len(prefix) && strings.HasPrefix(api, prefix)
	})
}

// IsGet reports whether the call returns one message. Direct: the answer is the message itself,
// not JSON.
func IsGet(api string) (get, direct bool) {
	direct = strings.HasPrefix(api, directGet)
	return direct || strings.HasPrefix(api, getMsg), direct
}
