package journal

import (
	"errors"
	"fmt"

	"github.com/hookspan/hookspan/bridge"
)

// Look raises the alarms of what is wrong with the journal now, and clears those of what was at the
// last look. The journal looks by itself when it begins to fail, when it is full and when something
// is set aside; the forwarder looks all the time.
func (j *Journal) Look() {
	j.looking.Lock()
	defer j.looking.Unlock()
	j.lasting.Look(j.wrong()...)
}

// wrong returns the alarms of what lasts.
func (j *Journal) wrong() (alarms []bridge.Alarm) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.failure; err != nil {
		unknown := ""
		if errors.Is(err, bridge.ErrUnknown) {
			unknown = " What was being written then may or may not be stored; it was not called stored."
		}
		alarms = append(alarms, bridge.Alarm{
			Kind: bridge.AlarmJournalFailed, Over: "the journal is written again",
			Text: fmt.Sprintf("The journal cannot be written: %v. Deliveries are refused until it can.%s Check the disk of %s.", err, unknown, j.dir),
		})
	}
	if err := j.unwritten; err != nil {
		alarms = append(alarms, bridge.Alarm{
			Kind: bridge.AlarmJournalFailed, Subject: positionFile, Over: "the position of the journal is written again",
			Text: fmt.Sprintf("The position of the journal cannot be written: %v. Records are still accepted; after a restart those that were forwarded since are forwarded again. Check the disk of %s.", err, j.dir),
		})
	}
	if used := j.ledger.bytes + j.aside.bytes; used >= j.cfg.MaxBytes/10*8 {
		alarms = append(alarms, bridge.Alarm{
			Kind: bridge.AlarmJournalFull, Over: "the journal is less than 80 % full again",
			Text: fmt.Sprintf("The journal is more than 80 %% full: %d of %d bytes wait, %d of them set aside. When it is full, deliveries are refused with 503. "+
				"See why NATS does not take them, resend what is set aside, or raise journal.max_bytes.", used, j.cfg.MaxBytes, j.aside.bytes),
			Details: map[string]any{"bytes": used, "max_bytes": j.cfg.MaxBytes, "set_aside_bytes": j.aside.bytes},
		})
	}
	if j.aside.records > 0 {
		last := ""
		if j.asideCause != "" {
			last = fmt.Sprintf(" (the last one: %s)", j.asideCause)
		}
		alarms = append(alarms, bridge.Alarm{
			Kind: bridge.AlarmSetAside, Over: "nothing is set aside in the journal any more",
			Text: fmt.Sprintf("NATS does not take %d messages, which are set aside in the journal%s: hookspan journal show --set-aside says why; "+
				"after the repair hookspan journal resend sends them again", j.aside.records, last),
			Details: map[string]any{"messages": j.aside.records, "bytes": j.aside.bytes, "cause": j.asideCause},
		})
	}
	return alarms
}
