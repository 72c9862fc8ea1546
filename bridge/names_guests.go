package bridge

import "strings"

// AllCreates covers requests to create or change a durable on [Names.EventsStream].
// Requests to $JS.API.CONSUMER.CREATE from other accounts arrive there and are passed on
// when they are allowed.
func (n Names) AllCreates() string { return n.prefix() + ".durable.>" }

// ParseCreate splits the subject of a request to create a durable into the durable's name,
// "" for none, and the JetStream API subject.
func (n Names) ParseCreate(subject string) (durable, api string) {
	tail, ok := strings.CutPrefix(subject, n.prefix()+".durable.")
	if !ok {
		return "", ""
	}
	durable, _, _ = strings.Cut(tail, ".")
	return durable, "$JS.API.CONSUMER.CREATE." + n.EventsStream() + "." + tail
}

// AllCalls covers JetStream API calls from other accounts, except those of [Names.AllGets].
func (n Names) AllCalls() string { return n.prefix() + ".api.>" }

// AllGets covers calls from other accounts that get one message, which may be large.
func (n Names) AllGets() string { return n.prefix() + ".get.>" }
