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

const (
	// AppUser is for the programs of other teams. Its password is the secret
	// of the data folder of the same name.
	AppUser = "app"
	// ownUser is this process; its password is never stored.
	ownUser = "hookspan"
)

// The streams are in one account, and user "app" is in another one that sees only what is
// exported to it. Permissions of a user in the same account would not be enough: the server
// does not check the reply subject of a request, and would send its answer there, into any
// stream of the requester's account.
const (
	ownAccount = "HOOKSPAN"
	appAccount = "APP"
)

// appServices are the subjects that user "app" may publish to: acknowledgements, the attempt
// records of its consumers, what they tell of their attempts, and their dead letters; [guestcalls.Allowed] has the answered
// calls. None of them publishes an event, or deletes, pauses or purges anything.
func appServices(n bridge.Names) []string {
	return []string{"$JS.ACK." + n.EventsStream() + ".>", n.AttemptsSubject(">"), n.AttemptsTold("*"), n.DeadSubjects()[0]}
}

// appPull is the only call with several answers: the event, and heartbeats until then.
func appPull(n bridge.Names) string { return "$JS.API.CONSUMER.MSG.NEXT." + n.EventsStream() + ".>" }

// appDenied keeps user "app" from the consumers of this process and from records of expired
// events: the janitor relies on those records, and would purge unhandled events.
func appDenied(n bridge.Names, owned []string) []string {
	out := []string{n.AllExpired()}
	for _, c := range owned {
		out = append(out,
			"$JS.API.CONSUMER.CREATE."+n.EventsStream()+"."+c,
			"$JS.API.CONSUMER.CREATE."+n.EventsStream()+"."+c+".>",
			"$JS.API.CONSUMER.MSG.NEXT."+n.EventsStream()+"."+c,
			"$JS.ACK."+n.EventsStream()+"."+c+".>",
			n.AttemptsSubject(n.AttemptsPrefix(c)+">"),
			n.AttemptsTold(c),
			n.AllDead(c),
			n.LaterOf(c),
		)
	}
	return out
}

// accounts returns the accounts and users in the server's configuration language. pull has the
// passwords of pull consumers that are read by a program of their own.
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

// account is an account of other programs, with one user.
type account struct {
	name, user, password string
	connections          int
	// services are the subjects that it may call, except denied.
	services, denied []string
	// redirected are the calls that the bridge answers, by the subject on which they arrive in
	// our account. Most look like calls of JetStream, which cannot serve them safely: the
	// stream of waiting events obeys headers, and a program could use up the durables of a
	// stream, the memory, or the server's only queue of API calls.
	redirected map[string]string
	// stream is a subject that it can subscribe to, if any.
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

// PullUser is the user of the program of one pull consumer. The secret of the same name in the
// data folder is its password.
func PullUser(consumer string) string { return "consumer-" + consumer }

// pullAccount is the account of the program of one pull consumer. In an account of its own, any
// client works with its default inboxes, and nobody else can read them. The program reads its
// durable and lets its events wait; it has no access to streams or other consumers.
func pullAccount(n bridge.Names, consumer, password string) account {
	durable := n.EventsStream() + "." + consumer
	const jsInfo = "$JS.API.INFO" // several clients call it first
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

// config returns the account in the server's configuration language.
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
		// Sharing identifies the program, so that each has its own quota.
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

// ownAccountAlone is [accounts] for a server without other programs.
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

// hash uses the lowest cost: a password has 130 random bits, beyond guessing at any cost.
func hash(password string) (string, error) {
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return "", fmt.Errorf("hashing a password: %w", err)
	}
	return string(h), nil
}
