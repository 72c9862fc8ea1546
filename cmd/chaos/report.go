package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

type report struct {
	Fault string `json:"fault"`
	counts
	Refused int `json:"refused"`
	findings
	// Recover is from the end of the fault to the first 200, Whole to every
	// acknowledged event being in the stream, both in seconds.
	Recover float64 `json:"recover_seconds"`
	Whole   float64 `json:"whole_seconds"`
	Took    float64 `json:"took_seconds"`
	// Notes say what was done.
	Notes []string `json:"notes,omitempty"`
	// Wrong is every bar that was missed; none is missed when it is empty.
	Wrong   []string `json:"wrong,omitempty"`
	Skipped string   `json:"skipped,omitempty"`
}

// judge compares the figures with the bars. What is lost to damage misses none.
func (r *report) judge(events int, damage bool, examples []string) {
	for _, bar := range []struct {
		missed bool
		text   string
	}{
		{r.Acknowledged < events, fmt.Sprintf("%d webhooks were acknowledged, it takes %d to say anything", r.Acknowledged, events)},
		{r.Abandoned > 0, fmt.Sprintf("the sender has abandoned %d webhooks; refused were %v", r.Abandoned, r.RefusedBy)},
		{r.Lost > 0 && !damage, fmt.Sprintf("%d acknowledged webhooks are lost", r.Lost)},
		{r.Twice > 0, fmt.Sprintf("%d webhooks are stored twice", r.Twice)},
		{r.Corrupt > 0, fmt.Sprintf("%d messages are not what was sent", r.Corrupt)},
	} {
		if bar.missed {
			r.Wrong = append(r.Wrong, bar.text)
		}
	}
	if len(r.Wrong) > 0 {
		r.Wrong = append(r.Wrong, examples...)
	}
}

func printHead(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%-18s %8s %8s %8s %9s %8s %8s %6s %6s %8s %9s %9s\n",
		"fault", "sent", "acked", "refused", "abandoned", "stored", "dups", "lost", "twice", "corrupt", "to a 200", "to whole")
	return err
}

func (r *report) print(w io.Writer) error {
	if r.Skipped != "" {
		_, err := fmt.Fprintf(w, "%-18s skipped: %s\n", r.Fault, r.Skipped)
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%-18s %8d %8d %8d %9d %8d %8d %6d %6d %8d %9s %9s\n",
		r.Fault, r.Sent, r.Acknowledged, r.Refused, r.Abandoned, r.Stored, r.Duplicates, r.Lost, r.Twice, r.Corrupt, seconds(r.Recover), seconds(r.Whole))
	for _, note := range r.Notes {
		text.WriteString("    " + note + "\n")
	}
	for _, wrong := range r.Wrong {
		text.WriteString("    WRONG: " + wrong + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func seconds(s float64) string {
	if s == 0 {
		return "-"
	}
	return (time.Duration(s*1000) * time.Millisecond).Round(10 * time.Millisecond).String()
}

func writeReports(path string, reports []*report) error {
	text, err := json.MarshalIndent(reports, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
