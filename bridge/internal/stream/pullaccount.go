package stream

import (
	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/guestcalls"
)

// PullUser is the user of the program that reads one pull consumer. Its password is
// the secret of the data folder of the same name.
func PullUser(consumer string) string { return "consumer-" + consumer }

// pullAccount is for the program of one pull consumer. It has an account of its own,
// so that any client works with the inboxes that it makes by default and nobody else
// can listen to them. It reads its durable, and lets its events wait; it sees no
// stream, and nothing of other consumers.
func pullAccount(n bridge.Names, consumer, password string) account {
	durable := n.EventsStream() + "." + consumer
	const jsInfo = "$JS.API.INFO" // several clients ask for it first
	info := "$JS.API.CONSUMER.INFO." + durable
	return account{
		name: "PULL_" + consumer, user: PullUser(consumer), password: password, connections: pullConnections,
		services: []string{
			"$JS.API.CONSUMER.MSG.NEXT." + durable,
			"$JS.ACK." + durable + ".>",
		},
		redirected: map[string]string{
			n.WaitOf(consumer):            n.LaterOf(consumer),
			guestcalls.Subject(n, info):   info,
			guestcalls.Subject(n, jsInfo): jsInfo,
		},
	}
}
