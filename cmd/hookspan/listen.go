package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/forward"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

type listenCmd struct {
	apiFlag
	liveFlags
	To     string           `required:"" placeholder:"URL" help:"The address of your service, such as http://127.0.0.1:3000/hooks."`
	Since  moment           `placeholder:"TIME" help:"First what was stored since then: a time, or so long ago, such as 2h. Without it only what comes now."`
	Secret config.SecretRef `placeholder:"PLACE" help:"The place of the secret that signs, as env:NAME or file:PATH. Without it a secret is made for this run and printed."`
	For    time.Duration    `default:"30s" help:"How long an answer may take."`
}

// maxBacklog bounds how many events are fetched before those that come.
const maxBacklog = 10_000

// Run posts each event to the service once, as a consumer of the kind forward does, until
// Ctrl-C, which is no failure. It only reads: no consumer and no event changes.
func (c *listenCmd) Run(e *env) error {
	if err := c.check(e, &c.apiFlag, ""); err != nil {
		return err
	}
	l := &listener{e: e, api: &c.apiFlag, query: c.query(), patience: c.For}
	key, err := c.secret(e)
	if err != nil {
		return err
	}
	l.target, err = forward.New(forward.Config{
		Name: "listen", URL: c.To, AllowPrivate: true, Timeout: c.For, Secrets: [][]byte{key},
		Breaker: forward.Breaker{Failures: math.MaxInt}, // a developer wants to see each failure
	})
	if err != nil {
		return &usageError{fmt.Errorf("--to: %w", err)}
	}
	defer func() { _ = l.target.Close() }()
	api, err := c.client(e, e.connection)
	if err != nil {
		return err
	}
	defer api.Close()
	if l.last, err = l.newest(); err != nil {
		return err
	}
	if !c.Since.IsZero() {
		if err := l.backlog(map[string]string{"since": c.Since.query()}, 0, l.last); err != nil {
			return err
		}
	}
	if !e.json && e.terminal {
		e.note("type r and Enter to send the last event again, or r and a number for that one")
	}
	return l.run(api)
}

// secret returns the secret that signs.
func (c *listenCmd) secret(e *env) ([]byte, error) {
	if c.Secret != "" {
		key, err := c.Secret.Require(e.getenv)
		if err != nil {
			return nil, fmt.Errorf("--secret: %w", err)
		}
		return key, nil
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("making a secret: %w", err)
	}
	key := "whsec_" + base64.StdEncoding.EncodeToString(random)
	e.note("requests of this run are signed with %s", key)
	return []byte(key), nil
}

// listener posts events to a service. One goroutine calls it.
type listener struct {
	e      *env
	api    *apiFlag
	query  url.Values
	target *forward.Forwarder
	last   uint64 // everything up to this event was posted, or passed

	shown    uint64 // the event that was posted last
	attempt  int    // of it
	patience time.Duration
}

// run posts what comes, and again what is typed.
func (l *listener) run(api *client.Client) error {
	ctx, stop := context.WithCancel(l.e.ctx)
	defer stop()
	query := url.Values{"last_event_id": {strconv.FormatUint(l.last, 10)}}
	maps.Copy(query, l.query)
	came, ended := make(chan client.Live), make(chan error, 1)
	go func() {
		ended <- api.Live(ctx, client.LiveEvents, query, func(told client.Live) error {
			select {
			case came <- told:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	typed := l.typed(ctx)
	for {
		var err error
		select {
		case told := <-came:
			err = l.tell(told)
		case text := <-typed:
			err = l.again(text)
		case err := <-ended:
			if l.e.ctx.Err() != nil {
				return nil
			}
			return err
		}
		if l.e.ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// typed returns the lines of standard input. The goroutine that reads them ends with the
// program: a terminal cannot be told to stop.
func (l *listener) typed(ctx context.Context) <-chan string {
	lines := make(chan string)
	go func() {
		in := bufio.NewScanner(l.e.stdin)
		for in.Scan() {
			select {
			case lines <- strings.TrimSpace(in.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// again posts the last event again, or the one whose number is behind the letter.
func (l *listener) again(text string) error {
	number, ok := strings.CutPrefix(text, "r")
	seq := l.shown
	if number = strings.TrimSpace(number); number != "" {
		var err error
		seq, err = strconv.ParseUint(number, 10, 63)
		ok = ok && err == nil
	}
	switch {
	case text == "":
		return nil
	case !ok:
		l.e.note("type r and Enter, or r and the number of an event")
		return nil
	case seq == 0:
		l.e.note("no event was posted yet")
		return nil
	}
	return l.post(seq)
}

// tell posts an event, or what a stream has left out.
func (l *listener) tell(told client.Live) error {
	switch told.Name {
	case adminapi.LiveEvent:
		var v adminapi.Event
		if err := json.Unmarshal(told.Data, &v); err != nil {
			return fmt.Errorf("reading what the bridge tells: %w", err)
		}
		if v.Seq <= l.last {
			return nil // it was posted with what was left out before
		}
		l.last = v.Seq
		return l.post(v.Seq)
	case adminapi.LiveGap, adminapi.LiveSampled:
		var left adminapi.LeftOut
		if err := json.Unmarshal(told.Data, &left); err != nil {
			return fmt.Errorf("reading what the bridge tells: %w", err)
		}
		switch left.Cause {
		case adminapi.GapAnew:
			l.last = 0
			return printLive(l.e, told)
		case adminapi.GapGone:
			return printLive(l.e, told)
		}
		after := max(left.After, l.last)
		l.last = max(l.last, left.Until)
		return l.backlog(nil, after, left.Until)
	}
	return nil
}

// newest returns the number of the newest event that is selected, 0 for none.
func (l *listener) newest() (uint64, error) {
	page, err := l.page(map[string]string{"limit": "1"})
	if err != nil || len(page.Events) == 0 {
		return 0, err
	}
	return page.Events[0].Seq, nil
}

func (l *listener) page(query map[string]string) (page adminapi.EventList, err error) {
	for key := range l.query {
		query[key] = l.query.Get(key)
	}
	err = l.api.get(l.e, apiRoute("events"), query, &page)
	return page, err
}

// backlog posts the selected events behind one number up to another, the oldest first.
func (l *listener) backlog(selected map[string]string, after, until uint64) error {
	var seqs []uint64
	query := map[string]string{"limit": "1000"}
	maps.Copy(query, selected)
	for older := true; older; {
		page, err := l.page(query)
		if err != nil {
			return err
		}
		older = page.Next != "" && len(page.Events) > 0
		query["cursor"] = page.Next
		for i := range page.Events {
			switch seq := page.Events[i].Seq; {
			case seq > until:
			case seq <= after:
				older = false
			default:
				seqs = append(seqs, seq)
			}
		}
		if len(seqs) > maxBacklog {
			l.e.note("there are more than %d events to post first, and the oldest of them are left out: hookspan events list shows them", maxBacklog)
			seqs, older = seqs[:maxBacklog], false
		}
	}
	for _, seq := range slices.Backward(seqs) {
		if err := l.post(seq); err != nil {
			return err
		}
	}
	return nil
}

// posted is how a service answered an event.
type posted struct {
	Seq        uint64 `json:"seq"`
	Prediction string `json:"prediction"`
	Status     string `json:"status"`
	Model      string `json:"model,omitempty"`
	// Attempt counts how often this run posted the event.
	Attempt int     `json:"attempt"`
	Took    float64 `json:"took_seconds"`
	// Answer is the status line of the service, without its protocol.
	Answer string `json:"answer,omitempty"`
	Error  string `json:"error,omitempty"`
	// Next is what a consumer would do after a failure: retry, or dead for a dead letter.
	Next string `json:"next,omitempty"`
}

// post reads an event and posts it once. What the service answers is shown and is no error of
// the verb.
func (l *listener) post(seq uint64) error {
	var detail adminapi.EventDetail
	if err := l.api.get(l.e, apiRoute("events", strconv.FormatUint(seq, 10)), nil, &detail); err != nil {
		l.e.note("event %d cannot be read: %v", seq, err)
		return nil
	}
	ev, err := bridge.DecodeEvent(detail.Header, detail.Bytes())
	if err != nil {
		l.e.note("event %d is none that a consumer gets: %v", seq, err)
		return nil
	}
	attempt := consumers.Attempt{Number: 1}
	if seq == l.shown {
		attempt.Number, attempt.Repeat = l.attempt+1, true
	}
	began := time.Now()
	tried := consumers.Try(l.e.ctx, l.target, ev, consumers.Config{Name: "listen", Timeout: l.patience, Logger: slog.New(slog.DiscardHandler)}, attempt)
	took := time.Since(began)
	l.shown, l.attempt = seq, attempt.Number
	row := posted{Seq: seq, Prediction: ev.PredictionID, Status: ev.Status, Model: ev.Model, Attempt: attempt.Number, Took: took.Seconds()}
	line, _, _ := strings.Cut(tried.Note, "\n")
	_, row.Answer, _ = strings.Cut(line, " ")
	if tried.Err != nil {
		row.Error, row.Next = tried.Err.Error(), "retry"
		if tried.Action == consumers.ActionDead {
			row.Next = "dead"
		}
	}
	return l.e.print(row, func(out *printer) {
		result, how := good, cmp.Or(row.Answer, row.Error)
		if tried.Err != nil {
			result = bad
		}
		out.printf("%d  %s  %s  %s  ", seq, row.Status, row.Prediction, orDash(row.Model))
		out.raw(out.tint(result, printable.String(how)))
		out.printf("  %v", took.Round(time.Millisecond))
		switch row.Next {
		case "retry":
			out.printf("; a consumer would try again")
		case "dead":
			out.printf("; for a consumer this is a dead letter")
		}
		out.printf("\n")
	})
}
