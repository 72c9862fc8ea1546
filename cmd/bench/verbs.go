package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// runVerb runs a verb of the program against a bridge as a person does, and returns how long
// that took in all. It has to print a heading, and more below it. A space is part of a word
// behind --search.
func runVerb(r *rig.Rig, bridge *rig.Bridge, verb string) time.Duration {
	args := strings.Fields(verb)
	if before, search, ok := strings.Cut(verb, " --search "); ok {
		args = append(strings.Fields(before), "--search", search)
	}
	cmd := exec.CommandContext(r.Context(), r.Binary, append(args, "--config", bridge.Config)...)
	cmd.Env = []string{} // nothing that could name another bridge
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	if err == nil && bytes.Count(out.Bytes(), []byte("\n")) < 2 {
		err = errors.New("it printed too little")
	}
	if err != nil {
		rig.Check(fmt.Errorf("hookspan %s: %w: %s%s", verb, err, out.Bytes(), said.Bytes()))
	}
	return took
}

// scrapes is how often the metrics are read, and scrapeEvery the pause before each: without
// one, each would meet the garbage collection that the one before it has set off.
const (
	scrapes     = 150
	scrapeEvery = 20 * time.Millisecond
)

// scrape reads the metrics of a bridge by the clock, and returns how long each time took until the
// last byte.
func scrape(r *rig.Rig, bridge *rig.Bridge) (took []time.Duration) {
	for range scrapes {
		r.Pause(scrapeEvery)
		began := time.Now()
		response, err := http.DefaultClient.Do(rig.Must(http.NewRequestWithContext(r.Context(), http.MethodGet, bridge.Admin+"/metrics", nil)))
		rig.Check(err)
		_, err = io.Copy(io.Discard, response.Body)
		rig.Check(errors.Join(err, response.Body.Close()))
		if response.StatusCode != http.StatusOK {
			rig.Check(fmt.Errorf("a scrape was answered %s", response.Status))
		}
		took = append(took, time.Since(began))
	}
	return took
}
