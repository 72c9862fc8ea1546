package exec

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

const (
	envTemp  = "TMPDIR"
	envTrace = "TRACEPARENT"
	envQuery = "HOOKSPAN_QUERY_"

	// maxAttributes bounds the variables of an event in bytes, like the header that they came
	// in. Linux takes 128 KiB in one variable, and at least that in all variables and arguments.
	maxAttributes = 64 << 10
)

// attributes returns the variables of the event, each as NAME=value.
func attributes(a consumers.Attempt, ev *bridge.Event) ([]string, error) {
	var list []string
	size := 0
	set := func(name, value string) {
		value = strings.ReplaceAll(strings.ToValidUTF8(value, "\uFFFD"), "\x00", "\uFFFD")
		list = append(list, name+"="+value)
		size += len(name) + len(value) + len("=\x00")
	}
	set("HOOKSPAN_EVENT_ID", ev.ID)
	set("HOOKSPAN_SOURCE", ev.Source)
	set("HOOKSPAN_TYPE", ev.Type)
	set("HOOKSPAN_PREDICTION_ID", ev.PredictionID)
	set("HOOKSPAN_STATUS", ev.Status)
	set("HOOKSPAN_MODEL", ev.Model)
	set("HOOKSPAN_TIME", formatTime(ev.Time))
	set("HOOKSPAN_RECEIVED_AT", formatTime(ev.ReceivedAt))
	set("HOOKSPAN_CONTENT_TYPE", ev.ContentType)
	set("HOOKSPAN_SUBJECT", ev.Subject)
	set("HOOKSPAN_FIELDS", ev.Fields.String())
	set("HOOKSPAN_CONSUMER", a.Consumer)
	set("HOOKSPAN_ATTEMPT", strconv.Itoa(a.Number))
	set("HOOKSPAN_REPEAT", strconv.FormatBool(a.Repeat))
	set("HOOKSPAN_IDEMPOTENCY_KEY", a.IdempotencyKey(ev))
	if ev.TraceParent != "" {
		set(envTrace, ev.TraceParent)
	}
	for _, key := range slices.Sorted(maps.Keys(ev.Query)) {
		// A key that cannot be the name of a parameter was not written by a bridge.
		if bridge.CheckName("query parameter", key) == nil {
			set(envQuery+strings.ReplaceAll(strings.ToUpper(key), "-", "_"), ev.Query[key])
		}
	}
	if size > maxAttributes {
		return nil, fmt.Errorf("the attributes of the event have %d bytes as variables, more than the %d that are passed to a command", size, maxAttributes)
	}
	return list, nil
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
