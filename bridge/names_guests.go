package bridge

import (
	"slices"
	"strings"
)

// AllCreates is the subject pattern of requests to make or change a durable on
// [Names.EventsStream]. What programs of other accounts ask of JetStream with
// $JS.API.CONSUMER.CREATE arrives there, and is passed on when it may be.
func (n Names) AllCreates() string { return n.prefix() + ".durable.>" }

// ParseCreate takes the subject of a request to make a durable apart: the durable's
// name, and the subject that JetStream knows the request by. The name is "" when there
// is none.
func (n Names) ParseCreate(subject string) (durable, api string) {
	tail, ok := strings.CutPrefix(subject, n.prefix()+".durable.")
	if !ok {
		return "", ""
	}
	durable, _, _ = strings.Cut(tail, ".")
	return durable, "$JS.API.CONSUMER.CREATE." + n.EventsStream() + "." + tail
}

const jsAPI = "$JS.API."

// The two calls by which JetStream gives one message.
const (
	directGet = jsAPI + "DIRECT.GET."
	getMsg    = jsAPI + "STREAM.MSG.GET."
)

// AllCalls is the subject pattern of calls to JetStream of programs of other accounts, but
// for those of [Names.AllGets].
func (n Names) AllCalls() string { return n.prefix() + ".api.>" }

// AllGets is the subject pattern of such calls for one message, which may be large.
func (n Names) AllGets() string { return n.prefix() + ".get.>" }

// Call is where a call of such a program arrives that JetStream knows by the subject api,
// such as $JS.API.INFO.
func (n Names) Call(api string) string {
	to := n.AllCalls()
	if get, _ := IsGet(api); get {
		to = n.AllGets()
	}
	return strings.TrimSuffix(to, ">") + strings.TrimPrefix(api, jsAPI)
}

// ParseCall undoes [Names.Call]; it is "" for another subject.
func (n Names) ParseCall(subject string) (api string) {
	for _, pattern := range []string{n.AllCalls(), n.AllGets()} {
		if tail, ok := strings.CutPrefix(subject, strings.TrimSuffix(pattern, ">")); ok {
			return jsAPI + tail
		}
	}
	return ""
}

// GuestCalls are the subject patterns of the calls that programs of other accounts may
// make, which answer once and change nothing: what there is, events, what is known of a
// prediction, what consumers remember, whether there is room to wait, and whether a dead
// letter that is said to be a duplicate is its own.
func (n Names) GuestCalls() []string {
	events := n.EventsStream()
	return []string{
		jsAPI + "INFO",
		jsAPI + "STREAM.NAMES",
		jsAPI + "STREAM.LIST",
		jsAPI + "STREAM.INFO." + events,
		jsAPI + "STREAM.INFO." + n.AttemptsStream(),
		jsAPI + "STREAM.INFO." + n.DeadStream(),
		jsAPI + "STREAM.INFO." + n.LaterStream(),
		jsAPI + "STREAM.INFO." + n.PredictionsStream(),
		jsAPI + "CONSUMER.NAMES." + events,
		jsAPI + "CONSUMER.LIST." + events,
		jsAPI + "CONSUMER.INFO." + events + ".>",
		getMsg + events,
		directGet + events,
		directGet + events + ".>",
		directGet + n.AttemptsStream() + ".>",
		directGet + n.DeadStream(),
		directGet + n.PredictionsStream() + ".>",
	}
}

// IsGuestCall reports whether api is one of [Names.GuestCalls].
func (n Names) IsGuestCall(api string) bool {
	return slices.ContainsFunc(n.GuestCalls(), func(pattern string) bool {
		prefix, many := strings.CutSuffix(pattern, ">")
		return api == pattern && !many || many && len(api) > len(prefix) && strings.HasPrefix(api, prefix)
	})
}

// IsGet reports whether the call is for one message. Direct says whether the answer is the
// message itself, and not JSON that holds it.
func IsGet(api string) (get, direct bool) {
	direct = strings.HasPrefix(api, directGet)
	return direct || strings.HasPrefix(api, getMsg), direct
}
