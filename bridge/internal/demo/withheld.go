package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
)

// withheldCounts is what was kept of deliveries that are no event.
type withheldCounts struct {
	// quarantined were signed and could not be read; refused were not signed
	// rightly.
	quarantined, refused int
	// explained is how many of them have the cause that they were sent with.
	explained int
}

// causes is how many deliveries of the plan have each cause.
var causes = map[string]int{"no_id": 1, "no_signature": 1, "wrong_length": 1, "wrong_signature": 2}

// countWithheld asks the bridge for them, as an operator does.
func (d *demo) countWithheld(ctx context.Context, api string) (withheldCounts, error) {
	out, err := exec.CommandContext(ctx, d.binary, "--json", "quarantine", "list", "--api", api).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return withheldCounts{}, fmt.Errorf("asking for what was not an event: %w", err)
	}
	return readWithheld(out)
}

func readWithheld(list []byte) (c withheldCounts, err error) {
	var kept struct {
		Entries []struct {
			Stream string `json:"stream"`
			Cause  string `json:"cause"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(list, &kept); err != nil {
		return c, fmt.Errorf("reading what was not an event: %w", err)
	}
	seen := map[string]int{}
	for _, e := range kept.Entries {
		switch e.Stream {
		case "quarantine":
			c.quarantined++
		case "refused":
			c.refused++
		}
		if seen[e.Cause]++; seen[e.Cause] <= causes[e.Cause] {
			c.explained++
		}
	}
	return c, nil
}
