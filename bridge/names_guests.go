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

// AllCalls is the subject pattern of calls to JetStream of programs of other accounts, but
// for those of [Names.AllGets].
func (n Names) AllCalls() string { return n.prefix() + ".api.>" }

// AllGets is the subject pattern of such calls for one message, which may be large.
func (n Names) AllGets() string { return n.prefix() + ".get.>" }
