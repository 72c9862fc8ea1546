// Package rights has what each part of a deployment may do in an external NATS. It is the only
// such list: the files in deploy/nats, the table of the documents and what a bridge tries of its
// rights are made of it.
package rights

import (
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

// Rights are what a user may do. Subjects may have wildcards.
type Rights struct {
	// Publish and Subscribe are allowed, and nothing else is.
	Publish, Subscribe []string
	// Answers: it may publish to the reply subjects of the requests that it gets.
	Answers bool
}

// Operation is something that parts of a deployment do.
type Operation struct {
	Name string
	Rights
}

// Role is a user of NATS.
type Role struct {
	// Name is that of the user, and of the role of a bridge if there is one.
	Name string
	// Does has the names of operations.
	Does []string
}

// Roles of bridges and of the verbs. A role of a bridge has the name that the configuration
// gives it.
const (
	Ingress    = "ingress"
	Consumers  = "consumers"
	Reconciler = "reconciler"
	Admin      = "admin"
	Provision  = "provision"
	Backup     = "backup"
)

// The operations.
const (
	Compares  = "compare streams and durables"
	Makes     = "make and change streams and durables"
	Keeps     = "store events"
	Withholds = "store quarantined, unconfirmed and refused deliveries"
	Alarms    = "raise alarms"
	Forgets   = "know what is erased"
	Handles   = "run consumers"
	Moves     = "move what waits, and what NATS gave up on"
	Serves    = "answer programs of other accounts"
	Views     = "make a view"
	Polls     = "poll providers, confirm deliveries"
	Watches   = "hear announcements"
	House     = "keep house: purge what is handled, read what is stored"
	Operates  = "pause, seek, remove, redrive, replay, drop"
	Erases    = "erase"
	Examines  = "doctor"
	Saves     = "back up"
	Restores  = "restore, move"
)

// Roles returns all users, and what each does. A process with several roles needs the rights of
// all of them.
func Roles() []Role {
	common := []string{Compares, Alarms, Forgets}
	return []Role{
		{Ingress, append(slices.Clone(common), Keeps, Withholds)},
		{Consumers, append(slices.Clone(common), Keeps, Handles, Moves, Serves, House)},
		{Reconciler, append(slices.Clone(common), Keeps, Withholds, Views, Polls, Watches, House)},
		{Admin, append(slices.Clone(common), Keeps, Views, House, Operates, Erases, Examines, Saves)},
		{Provision, []string{Compares, Makes}},
		{Backup, []string{Compares, Saves, Restores}},
	}
}

const api = "$JS.API."

// SyncPolicy is where a server tells when it syncs, if the account may ask. It is no fault where it
// may not.
const SyncPolicy = "$SYS.REQ.SERVER.PING.JSZ"

// Operations returns all operations, by the names on the wire.
func Operations(n bridge.Names) []Operation {
	w := wire{n}
	return []Operation{
		{Compares, w.compares()},
		{Makes, w.makes()},
		{Keeps, Rights{Publish: []string{n.AllEvents()}}},
		{Withholds, Rights{Publish: slices.Concat(n.QuarantineSubjects(), n.UnconfirmedSubjects(), n.RefusedSubjects())}},
		{Alarms, Rights{Publish: n.AlarmsSubjects()}},
		{Forgets, Rights{Publish: w.reads(n.ErasedStream()), Subscribe: []string{n.ErasedSubject("*")}}},
		{Handles, w.handles()},
		{Moves, w.moves()},
		{Serves, w.serves()},
		{Views, w.views()},
		{Polls, w.polls()},
		{Watches, Rights{Subscribe: []string{n.WatchRequests("*")}, Answers: true}},
		{House, w.house()},
		{Operates, w.operates()},
		{Erases, w.erases()},
		{Examines, Rights{Publish: []string{SyncPolicy}}},
		{Saves, w.saves()},
		{Restores, w.restores()},
	}
}

// Of returns the rights of a process with these roles, sorted. inbox is its inbox prefix. Unknown
// roles have no rights.
func Of(n bridge.Names, inbox string, roles ...string) Rights {
	out := Rights{Subscribe: []string{inbox + ".>"}}
	operations := Operations(n)
	for _, role := range Roles() {
		if !slices.Contains(roles, role.Name) {
			continue
		}
		for _, o := range operations {
			if slices.Contains(role.Does, o.Name) {
				out = out.with(o.Rights)
			}
		}
	}
	return out.sorted()
}

// InDomain returns the rights where the streams are in another JetStream domain than the server
// that the user connects to.
func (r Rights) InDomain(domain string) Rights {
	if domain == "" {
		return r
	}
	r.Publish = slices.Clone(r.Publish)
	for i, subject := range r.Publish {
		if tail, ok := strings.CutPrefix(subject, api); ok {
			r.Publish[i] = "$JS." + domain + ".API." + tail
		}
	}
	return r
}

func (r Rights) with(more Rights) Rights {
	return Rights{
		Publish: append(r.Publish, more.Publish...), Subscribe: append(r.Subscribe, more.Subscribe...),
		Answers: r.Answers || more.Answers,
	}
}

func (r Rights) sorted() Rights {
	for _, list := range []*[]string{&r.Publish, &r.Subscribe} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return r
}
