package rights

import (
	"slices"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/guestcalls"
)

// wire makes the subjects of operations.
type wire struct{ bridge.Names }

func (w wire) streams() []string {
	return []string{
		w.EventsStream(), w.DeadStream(), w.QuarantineStream(), w.UnconfirmedStream(), w.RefusedStream(), w.AlarmsStream(),
		w.AdvisoriesStream(), w.AttemptsStream(), w.PollsStream(), w.ErasedStream(), w.LaterStream(),
	}
}

// each returns the calls of streams: of the streams themselves, or of their consumers or subjects
// when tail is set.
func each(call, tail string, streams ...string) (out []string) {
	for _, s := range streams {
		out = append(out, api+call+"."+s+tail)
	}
	return out
}

// reads returns the calls that read streams by consumers of the server's memory.
func (w wire) reads(streams ...string) []string {
	return slices.Concat(
		each("STREAM.INFO", "", streams...),
		each("CONSUMER.CREATE", ".>", streams...),
		each("CONSUMER.DELETE", ".*", streams...),
		each("CONSUMER.MSG.NEXT", ".*", streams...),
	)
}

// gets returns the calls for single messages.
func gets(streams ...string) []string {
	return slices.Concat(each("DIRECT.GET", "", streams...), each("DIRECT.GET", ".>", streams...))
}

// works returns the calls of a process that reads durables of a stream and acknowledges.
func works(stream string) []string {
	return []string{
		api + "CONSUMER.INFO." + stream + ".*", api + "CONSUMER.MSG.NEXT." + stream + ".*",
		"$JS.ACK." + stream + ".>", "$JS.ACK.*.*." + stream + ".>",
	}
}

func (w wire) compares() Rights {
	return Rights{Publish: append(each("STREAM.INFO", "", w.streams()...),
		api+"INFO", api+"CONSUMER.INFO."+w.EventsStream()+".*", api+"CONSUMER.LIST."+w.EventsStream())}
}

func (w wire) makes() Rights {
	return Rights{Publish: slices.Concat(
		each("STREAM.CREATE", "", w.streams()...),
		each("STREAM.UPDATE", "", w.streams()...),
		each("CONSUMER.CREATE", ".>", w.EventsStream(), w.LaterStream(), w.AdvisoriesStream(), w.UnconfirmedStream()),
		each("CONSUMER.DELETE", ".*", w.EventsStream()),
		each("DIRECT.GET", "", w.EventsStream(), w.LaterStream()),
		[]string{api + "STREAM.DELETE." + w.OldPredictionsStream()}, // of an earlier version
	)}
}

func (w wire) handles() Rights {
	return Rights{
		Publish: slices.Concat(
			works(w.EventsStream()),
			gets(w.AttemptsStream(), w.EventsStream(), w.DeadStream(), w.LaterStream()),
			[]string{w.AttemptsSubject(">"), w.AttemptsTold("*"), w.LaterSubjects()[0]},
			w.DeadSubjects(),
		),
	}
}

func (w wire) moves() Rights {
	return Rights{Publish: slices.Concat(
		works(w.LaterStream()), works(w.AdvisoriesStream()),
		[]string{w.AllAgain("*"), w.LaterSubjects()[0]},
	)}
}

// serves has the calls that a bridge passes on: those that other accounts import.
func (w wire) serves() Rights {
	return Rights{
		Publish:   append(guestcalls.Allowed(w.Names), api+"CONSUMER.CREATE."+w.EventsStream()+".>"),
		Subscribe: []string{w.AllWaits(), w.AllCreates(), w.AllCalls(), w.AllGets()},
		Answers:   true,
	}
}

func (w wire) views() Rights {
	return Rights{
		Publish: slices.Concat(
			w.reads(w.EventsStream(), w.DeadStream(), w.QuarantineStream(), w.RefusedStream(), w.AlarmsStream()),
			gets(w.EventsStream(), w.PollsStream(), w.AttemptsStream(), w.LaterStream()),
			[]string{w.PollsSubject(">")},
		),
		Subscribe: []string{w.AttemptsTold("*"), w.AllProgress()},
	}
}

func (w wire) polls() Rights {
	return Rights{Publish: slices.Concat(
		works(w.UnconfirmedStream()),
		[]string{api + "CONSUMER.LIST." + w.UnconfirmedStream(), w.PollsSubject(">"), w.AllProgress()},
		gets(w.PollsStream(), w.UnconfirmedStream()),
		each("STREAM.MSG.DELETE", "", w.PollsStream()),
	)}
}

func (w wire) house() Rights {
	return Rights{Publish: slices.Concat(
		w.reads(w.EventsStream()),
		gets(w.EventsStream(), w.DeadStream(), w.QuarantineStream(), w.PollsStream(), w.LaterStream(), w.AttemptsStream()),
		[]string{api + "CONSUMER.NAMES." + w.EventsStream(), api + "STREAM.PURGE." + w.EventsStream()},
		w.DeadSubjects(), // the records of what leaves unhandled
	)}
}

func (w wire) operates() Rights {
	return Rights{Publish: slices.Concat(
		gets(w.EventsStream(), w.DeadStream(), w.QuarantineStream(), w.RefusedStream(), w.UnconfirmedStream()),
		each("CONSUMER.PAUSE", ".*", w.EventsStream()),
		each("CONSUMER.RESET", ".*", w.EventsStream()),
		each("CONSUMER.UNPIN", ".*", w.EventsStream()),
		each("STREAM.MSG.DELETE", "", w.DeadStream(), w.QuarantineStream(), w.RefusedStream(), w.PollsStream()),
		each("STREAM.PURGE", "", w.DeadStream(), w.LaterStream(), w.AttemptsStream()),
		[]string{w.AllAgain("*")},
	)}
}

func (w wire) erases() Rights {
	return Rights{Publish: slices.Concat(
		w.reads(w.streams()...), gets(w.streams()...),
		each("STREAM.MSG.DELETE", "", w.streams()...),
		each("STREAM.PURGE", "", w.LaterStream()),
		[]string{w.ErasedSubject(">")},
	)}
}

func (w wire) saves() Rights {
	return Rights{Publish: slices.Concat(
		[]string{api + "STREAM.NAMES", api + "STREAM.LIST", "$JS.SNAPSHOT.ACK.>"},
		each("STREAM.INFO", "", w.streams()...), each("STREAM.SNAPSHOT", "", w.streams()...),
		each("CONSUMER.NAMES", "", w.streams()...), each("CONSUMER.LIST", "", w.streams()...), each("CONSUMER.INFO", ".*", w.streams()...),
		each("CONSUMER.PAUSE", ".*", w.LaterStream()), // the mover, between the events and those that wait
	)}
}

// restores has the removal of what a restore that fails has made, and the pause of all who work on
// what is moved.
func (w wire) restores() Rights {
	return Rights{Publish: slices.Concat(
		[]string{api + "INFO", "$JS.SNAPSHOT.RESTORE.>"},
		each("STREAM.INFO", "", w.streams()...), each("STREAM.RESTORE", "", w.streams()...),
		each("STREAM.CREATE", "", w.streams()...), each("STREAM.UPDATE", "", w.streams()...), each("STREAM.DELETE", "", w.streams()...),
		each("CONSUMER.INFO", ".*", w.streams()...), each("CONSUMER.PAUSE", ".*", w.streams()...),
	)}
}
