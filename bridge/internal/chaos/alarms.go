package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// alarm is a line of the bridge's log by which it tells a person of something.
type alarm struct {
	Alarm   string `json:"alarm"`
	Details struct {
		From uint64 `json:"from"`
		To   uint64 `json:"to"`
		// Last and LastBefore are of a stream that has lost its end.
		Last       uint64 `json:"last"`
		LastBefore uint64 `json:"last_before"`
	} `json:"details"`
}

// Kinds of alarms about a store that is damaged.
const (
	alarmBackwards = "store_backwards" // the end is gone
	alarmMissing   = "store_missing"
	alarmCorrupt   = "store_corrupt"
)

// names reports whether the alarm names a message, by the range in which it lies
// or as one of a lost end.
func (a alarm) names(sequence uint64) bool {
	switch a.Alarm {
	case alarmBackwards:
		return a.Details.Last < sequence && sequence <= a.Details.LastBefore
	case alarmMissing, alarmCorrupt:
		return a.Details.From <= sequence && sequence <= a.Details.To
	}
	return false
}

// alarms are those in a log from an offset in bytes on.
func alarms(log string, from int64) ([]alarm, error) {
	text, err := os.ReadFile(log)
	if err != nil {
		return nil, fmt.Errorf("reading a log: %w", err)
	}
	var found []alarm
	for line := range bytes.Lines(text[min(from, int64(len(text))):]) {
		var a alarm
		if json.Unmarshal(line, &a) == nil && a.Alarm != "" { // other lines are of no concern
			found = append(found, a)
		}
	}
	return found, nil
}

// metric returns a value of the bridge's metrics by its name and labels as they
// are written there, and 0 when it is not there yet.
func (b *hookspan) metric(ctx context.Context, name string) (value float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("reading the metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(io.LimitReader(response.Body, 16<<20))
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			_, err := fmt.Sscan(text, &value)
			return value, err
		}
	}
	return 0, lines.Err()
}

// waitScrub waits until the bridge has read its whole store once.
func (b *hookspan) waitScrub(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		end, err := b.metric(ctx, fmt.Sprintf("hookspan_scrub_pass_end_seconds{stream=%q}", eventsStream))
		if err != nil || end > 0 {
			return err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for the end of a scrub: %w", err)
		}
	}
}
