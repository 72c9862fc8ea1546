package app

import (
	"errors"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// raiseChanges raises alarms for changes after the streams had once been as they should be:
// before that the changes are our own. A stream that had lost its description is always an
// alarm. It returns what lasts.
func (p *provisioner) raiseChanges(changes []stream.Change, err error) (wrong []bridge.Alarm) {
	for _, c := range changes {
		if c.Kept > 0 {
			p.alarms.Raise(bridge.Alarm{
				Kind: bridge.AlarmStoreCorrupt, Subject: c.Stream,
				Text: c.Stream + ": the server could not read the description of the stream (meta.inf); it was written anew, " +
					"and the messages of the stream are still there: look for what damaged the disk",
				Details: map[string]any{"last_sequence": c.Kept},
			})
		}
	}
	changes = slices.DeleteFunc(changes, func(c stream.Change) bool { return c.Kept > 0 })
	if !p.settled {
		p.settled = err == nil
		return nil
	}
	if _, unable := errors.AsType[*stream.Unable](err); !unable && errors.Is(err, stream.ErrUnfit) {
		wrong = append(wrong, bridge.Alarm{
			Kind: bridge.AlarmStreamChanged, Over: "every stream can be used again",
			Text: "somebody changed a stream so that it cannot be used any more: " + err.Error(),
		})
	}
	for _, alarm := range alarmsOf(changes, "somebody removed the stream, with all that was in it; it was made anew, empty", "somebody changed the stream, it was changed back: ", "") {
		p.alarms.Raise(alarm)
	}
	return wrong
}

// differences returns the alarms of streams that differ from the configuration, where somebody else
// provisions them.
func differences(changes []stream.Change) []bridge.Alarm {
	return alarmsOf(changes, "there is no such stream: make it with hookspan provision",
		"the stream is not what the configuration says, change one or the other, with hookspan provision for example: ",
		"the stream is there and is what the configuration says")
}

func alarmsOf(changes []stream.Change, missing, differs, over string) (alarms []bridge.Alarm) {
	for _, c := range changes {
		alarm := bridge.Alarm{Kind: bridge.AlarmStreamRemoved, Subject: c.Stream, Text: c.Stream + ": " + missing}
		if !c.Created {
			alarm.Kind, alarm.Text = bridge.AlarmStreamChanged, c.Stream+": "+differs+strings.Join(c.Differences, "; ")
		}
		if over != "" {
			alarm.Over = c.Stream + ": " + over
		}
		alarms = append(alarms, alarm)
	}
	return alarms
}
