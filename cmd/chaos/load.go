package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/cmd/internal/simulate"
)

// load is hookspan simulate, which plays the provider and then has the bridge account for
// everything that was sent.
type load struct {
	rig    *rig.Rig
	done   chan struct{}
	stdout bytes.Buffer
	stderr bytes.Buffer
	err    error
}

// simulate begins to send so many webhooks to the balancer. The bridge with the API at admin is
// asked for them afterwards.
func (l *lab) simulate(admin string, count int) *load {
	s := &load{rig: l.Rig, done: make(chan struct{})}
	cmd := exec.CommandContext(l.Context(), l.Binary, "--json", "simulate", "--api", admin, "--kind", "get3w",
		"--url", "http://"+l.addr()+"/webhooks/"+rig.SourceName, "--count", strconv.Itoa(count), "--rate", strconv.Itoa(rolesRate),
		"--speed", strconv.Itoa(l.faster), "--duplicate-every", "20", "--wait", "10m")
	cmd.Env, cmd.Stdout, cmd.Stderr = []string{"GET3W_WEBHOOK_SECRET=" + rig.Secret}, &s.stdout, &s.stderr
	rig.Check(cmd.Start(), "starting hookspan simulate")
	go func() { defer close(s.done); s.err = cmd.Wait() }()
	l.OnClose(func() error { _ = cmd.Process.Kill(); <-s.done; return nil })
	return s
}

func (s *load) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// simulated is the report of the simulator.
type simulated struct{ simulate.Report }

// wait returns the report when the simulator has ended. It ends with an error when something is
// wrong, which the report has.
func (s *load) wait() (r simulated) {
	select {
	case <-s.done:
	case <-s.rig.Context().Done():
		rig.Check(s.rig.Context().Err())
	}
	if err := json.Unmarshal(s.stdout.Bytes(), &r); err != nil {
		rig.Check(fmt.Errorf("hookspan simulate ended without a report (%w): %s", s.err, strings.TrimSpace(s.stderr.String())))
	}
	return r
}

func (r *simulated) counts() counts {
	c := counts{Sent: r.Sent, Acknowledged: r.Acknowledged, Abandoned: r.Abandoned, Duplicates: r.Duplicates, RefusedBy: map[string]int{}, Results: map[string]int{}}
	for answer, n := range r.Answers {
		if result, ok := strings.CutPrefix(answer, "200 "); ok {
			c.Results[result] = n
		} else {
			c.RefusedBy[answer] = n
		}
	}
	return c
}
