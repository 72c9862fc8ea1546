package console

import (
	"fmt"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// replayJob is the call of a job that gives events to a consumer again.
type replayJob struct {
	adminapi.JobCall
	adminapi.EventCall
}

// replayOrder gives stored events to one consumer again.
func replayOrder(v *visit) (o order, err error) {
	consumer := v.text("consumer")
	seqs, err := v.seqs()
	if err == nil && (consumer == "" || len(seqs) == 0) {
		err = errNothing
	}
	o.kind, o.Path, o.Title, o.Verb, o.consumer = adminapi.JobReplay, "/events/replay", "Give again", "Give", consumer
	o.Back, o.selected = v.back("/predictions"), len(seqs)
	o.What = plural(len(seqs), "event", "events") + " for " + text(consumer)
	if len(seqs) == 1 {
		o.What = fmt.Sprintf("event %d for %s", seqs[0], text(consumer))
	}
	o.Would = "would be given to " + text(consumer) + " again. No other consumer gets them"
	o.Options = []option{{"handled", "Also those that it has handled", v.text("handled") != ""}}
	o.body = func(head adminapi.JobCall, rate float64, dry bool) any {
		call := replayJob{JobCall: head}
		call.Consumer, call.Seqs = consumer, seqs
		call.Rate, call.DryRun, call.Handled = rate, dry, v.text("handled") != ""
		return call
	}
	return o, err
}

// back is where a form says that its person came from, or a path of the console.
func (v *visit) back(or string) string {
	if from := v.text("back"); from != "" {
		return nextPath(from)
	}
	return or
}

// hindrance says why a consumer will not get at once what it is given; empty when nothing is
// known.
func hindrance(state *adminapi.ConsumerState) string {
	if state == nil {
		return ""
	}
	switch state.State { //nolint:exhaustive // others do not hinder
	case "paused":
		return "The consumer is paused: what it is given waits until it is resumed."
	case "blocked":
		return "The target fails and is left alone: what the consumer is given waits until it answers again."
	case "unread":
		return "No program asks for the consumer's events: what it is given waits until one does."
	case "failing":
		return "Attempts of the consumer fail at the moment: repair first what the last error names."
	}
	return ""
}
