package stream

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/guestcalls"
)

// Users of the embedded server.
const (
	// AppUser is for the programs of other teams. Its password is the secret
	// of the data folder of the same name.
	AppUser = "app"
	// ownUser is this process; its password is never written anywhere.
	ownUser = "hookspan"
)

// The streams lie in one account, user "app" lives in another one and sees of it
// what is exported. Rights of a user alone would not do: nobody checks the reply
// subject of a request, and the server sends its answer there, into any stream
// of the requester's account.
const (
	ownAccount = "HOOKSPAN"
	appAccount = "APP"
)

// appServices is what user "app" may write: acknowledgements, what its consumers must
// remember, and their dead letters. Calls that are answered are [guestcalls.Allowed].
// Nothing here publishes an event, or deletes, pauses or purges anything.
func appServices(n bridge.Names) []string {
	return []string{"$JS.ACK." + n.EventsStream() + ".>", n.AttemptsSubject(">"), n.DeadSubjects()[0]}
}

// appPull is the one call that is answered more than once: the event, and
// heartbeats until it comes.
func appPull(n bridge.Names) string { return "$JS.API.CONSUMER.MSG.NEXT." + n.EventsStream() + ".>" }

// appDenied keeps user "app" from the consumers of this process, and from records of
// expired events: the janitor believes those, and would remove what nobody handled.
func appDenied(n bridge.Names, owned []string) []string {
	out := []string{n.AllExpired()}
	for _, c := range owned {
		out = append(out,
			"$JS.API.CONSUMER.CREATE."+n.EventsStream()+"."+c,
			"$JS.API.CONSUMER.CREATE."+n.EventsStream()+"."+c+".>",
			"$JS.API.CONSUMER.MSG.NEXT."+n.EventsStream()+"."+c,
			"$JS.ACK."+n.EventsStream()+"."+c+".>",
			n.AttemptsSubject(n.AttemptsPrefix(c)+">"),
			n.AllDead(c),
			n.LaterOf(c),
		)
	}
	return out
}

// accounts is the part of the server's configuration about accounts and users,
// in the server's own language. Pull are the passwords of the consumers that a
// program of their own reads.
func accounts(n bridge.Names, owned []string, ownPassword, appPassword string, pull map[string]string) (string, error) {
	own, err := hash(ownPassword)
	if err != nil {
		return "", err
	}
	var exports strings.Builder
	for _, subject := range append(appServices(n), n.WatchRequests("*"), n.AllWaits(), n.AllCreates(), n.AllCalls(), n.AllGets()) {
		fmt.Fprintf(&exports, "{service: %q}\n", subject)
	}
	fmt.Fprintf(&exports, "{service: %q, response_type: stream}\n{stream: %q}\n", appPull(n), n.AllEvents())
	var text strings.Builder
	fmt.Fprintf(&text, "accounts {\n%s {\njetstream: enabled\nusers: [{user: %s, password: %q}]\nexports: [\n%s]\n}\n",
		ownAccount, ownUser, own, exports.String())
	others := []account{appAccountOf(n, owned, appPassword)}
	for _, name := range slices.Sorted(maps.Keys(pull)) {
		others = append(others, pullAccount(n, name, pull[name]))
	}
	for _, a := range others {
		part, err := a.config()
		if err != nil {
			return "", err
		}
		text.WriteString(part)
	}
	text.WriteString("}\n")
	return text.String(), nil
}

// account is one beside ours, with one user.
type account struct {
	name, user, password string
	connections          int // at most
	// services are what it may call, but for those that are denied.
	services, denied []string
	// redirected is what the bridge answers, by the subject on which that arrives with us.
	// Most of it is published as if to JetStream: the stream of waiting events obeys headers, whoever makes durables
	// could use them up, whoever reads much the memory, and whoever asks much the one queue
	// in which the server works off what it is asked.
	redirected map[string]string
	// stream is what it can listen to, if anything.
	stream string
}

func appAccountOf(n bridge.Names, owned []string, password string) account {
	redirected := map[string]string{
		n.WatchRequests("*"): n.WatchRequests("*"),
		n.AllWaits():         n.LaterSubjects()[0],
		n.AllCreates():       "$JS.API.CONSUMER.CREATE." + n.EventsStream() + ".>",
	}
	for _, call := range guestcalls.Allowed(n) {
		redirected[guestcalls.Subject(n, call)] = call
	}
	return account{
		name: appAccount, user: AppUser, password: password, connections: appConnections,
		services:   append(appServices(n), appPull(n)),
		redirected: redirected,
		stream:     n.AllEvents(), denied: appDenied(n, owned),
	}
}

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

// config is the account in the server's own language.
func (a account) config() (string, error) {
	password, err := hash(a.password)
	if err != nil {
		return "", err
	}
	var imports strings.Builder
	for _, subject := range a.services {
		fmt.Fprintf(&imports, "{service: {account: %s, subject: %q}}\n", ownAccount, subject)
	}
	publish := slices.Clone(a.services)
	for _, arrives := range slices.Sorted(maps.Keys(a.redirected)) {
		// Which of its programs asks is shared, so that each has a quota of its own.
		fmt.Fprintf(&imports, "{service: {account: %s, subject: %q}, to: %q, share: true}\n", ownAccount, arrives, a.redirected[arrives])
		publish = append(publish, a.redirected[arrives])
	}
	listen := []string{"_INBOX.>"}
	if a.stream != "" {
		listen = append(listen, a.stream)
		fmt.Fprintf(&imports, "{stream: {account: %s, subject: %q}}\n", ownAccount, a.stream)
	}
	return fmt.Sprintf(`%s {
limits: {max_connections: %d, max_subscriptions: %d}
users: [{user: %q, password: %q, permissions: {
publish: {allow: [%s], deny: [%s]}
subscribe: [%s]
}}]
imports: [
%s]
}
`, a.name, a.connections, programSubscriptions, a.user, password, quoted(publish), quoted(a.denied), quoted(listen), imports.String()), nil
}

// ownAccountAlone is [accounts] for a server that nobody else enters.
func ownAccountAlone(password string) (string, error) {
	own, err := hash(password)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("accounts {\n%s {\njetstream: enabled\nusers: [{user: %s, password: %q}]\n}\n}\n", ownAccount, ownUser, own), nil
}

func quoted(subjects []string) string {
	out := make([]string, len(subjects))
	for i, s := range subjects {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}

// hash uses the lowest cost: a password here is 130 random bits, which nobody
// guesses at any cost.
func hash(password string) (string, error) {
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return "", fmt.Errorf("hashing a password: %w", err)
	}
	return string(h), nil
}
