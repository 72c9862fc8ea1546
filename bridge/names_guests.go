package bridge

import "strings"

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

// The two calls by which JetStream gives one message.
const (
	directGet = "$JS.API.DIRECT.GET."
	getMsg    = "$JS.API.STREAM.MSG.GET."
)

// AllGets is the subject pattern of requests to read one message. What programs of other
// accounts ask of JetStream with $JS.API.DIRECT.GET and $JS.API.STREAM.MSG.GET arrives
// there.
func (n Names) AllGets() string { return n.prefix() + ".get.>" }

// Get is where the request arrives that JetStream knows by the subject api; "" when that
// is none for one message.
func (n Names) Get(api string) string {
	if tail, ok := strings.CutPrefix(api, directGet); ok {
		return n.prefix() + ".get.direct." + tail
	}
	if tail, ok := strings.CutPrefix(api, getMsg); ok {
		return n.prefix() + ".get.message." + tail
	}
	return ""
}

// ParseGet undoes [Names.Get]. Direct says whether the answer is the message itself, and
// not JSON that holds it.
func (n Names) ParseGet(subject string) (api string, direct bool) {
	tail := strings.TrimPrefix(subject, n.prefix()+".get.")
	if message, ok := strings.CutPrefix(tail, "message."); ok {
		return getMsg + message, false
	}
	return directGet + strings.TrimPrefix(tail, "direct."), true
}
