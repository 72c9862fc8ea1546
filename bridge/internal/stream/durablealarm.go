package stream

import (
	"fmt"
	"os"
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

// tell keeps an alarm until there is somebody to raise it.
func (d *durables) tell(f *foundDurable, text string) {
	details := map[string]any{"stream": f.stream, "damage": f.damage}
	if _, err := os.Stat(f.aside); err == nil {
		details["damaged_files"] = f.aside
	}
	damage := strings.Join(f.damage, ", ")
	if damage == "" {
		damage = "the server does not have it"
	}
	d.told = append(d.told, bridge.Alarm{
		Kind: bridge.AlarmDurableDamaged, Subject: f.name, Details: details,
		Text: fmt.Sprintf("the durable %s of stream %s was damaged (%s): %s", f.name, f.stream, damage, text),
	})
}

// raise raises what was told since it was called last.
func (d *durables) raise(alarms bridge.Alarmer) {
	d.mu.Lock()
	told := d.told
	d.told = nil
	d.mu.Unlock()
	for _, alarm := range told {
		alarms.Raise(alarm)
	}
}
