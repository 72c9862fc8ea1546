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
// alarm.
func (p *provisioner) raiseChanges(changes []stream.Change, err error) {
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
		return
	}
	if errors.Is(err, stream.ErrUnfit) {
		p.alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmStreamChanged,
			Text: "somebody changed a stream so that it cannot be used any more: " + err.Error(),
		})
	}
	p.raiseEach(changes, "somebody removed the stream, with all that was in it; it was made anew, empty", "somebody changed the stream, it was changed back: ")
}

// raiseDifferences raises alarms for streams that differ from the configuration, where somebody
// else provisions them.
func (p *provisioner) raiseDifferences(changes []stream.Change) {
	p.raiseEach(changes, "there is no such stream: make it with hookspan provision",
		"the stream is not what the configuration says, change one or the other, with hookspan provision for example: ")
}

func (p *provisioner) raiseEach(changes []stream.Change, missing, differs string) {
	for _, c := range changes {
		alarm := bridge.Alarm{Kind: bridge.AlarmStreamRemoved, Subject: c.Stream, Text: c.Stream + ": " + missing}
		if !c.Created {
			alarm.Kind, alarm.Text = bridge.AlarmStreamChanged, c.Stream+": "+differs+strings.Join(c.Differences, "; ")
		}
		p.alarms.Raise(alarm)
	}
}
