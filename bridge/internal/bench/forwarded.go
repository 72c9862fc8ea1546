package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

const (
	forwardedEvents = 20_000
	forwardedAtOnce = 64
	forwardedBar    = 5_000
)

// forwarded is what one round gave: events per second of the bridge and of a plain
// client, and the most memory of the bridge in bytes.
type forwarded struct {
	rate, plain, memory float64
}

func (f forwarded) ofRate() float64   { return f.rate }
func (f forwarded) ofPlain() float64  { return f.plain }
func (f forwarded) ofShare() float64  { return f.rate / f.plain }
func (f forwarded) ofMemory() float64 { return f.memory }

// target is a service that takes whatever is posted to it, and counts it.
type target struct{ count atomic.Pointer[tally] }

func (t *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return // the client hung up, and will post it again
	}
	w.WriteHeader(http.StatusNoContent)
	t.count.Load().add()
}

// begin counts anew.
func (t *target) begin() *tally {
	count := newTally(forwardedEvents/5, forwardedEvents)
	t.count.Store(count)
	return count
}

// measureForwarded has a bridge post stored events to a service, and a plain client
// post as many.
func (b *bench) measureForwarded(ctx context.Context) (f finding, err error) {
	service := &target{}
	addr, hangUp, err := listenLocally(ctx, service)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, hangUp()) }()
	var all []forwarded
	for round := range b.rounds {
		b.progress("round %d of %d", round+1, b.rounds)
		one, err := b.forwardedRound(ctx, round, service, "http://"+addr+"/events")
		if err != nil {
			return f, fmt.Errorf("round %d: %w", round+1, err)
		}
		all = append(all, one)
	}
	rate, memory := over(all, forwarded.ofRate), over(all, forwarded.ofMemory)
	f.text = fmt.Sprintf("%d stored events are posted to a service on the same machine that answers 204 at once, %d at once: `hookspan serve` with a consumer of kind forward in a process of its own. "+
		"**plain** is a client that posts as many webhooks of the same size, as many at once, without a store, a signature or a log. The first fifth is not measured.", forwardedEvents, forwardedAtOnce)
	f.head = []string{" way", "events/s", "to plain", "memory"}
	f.row("forward", integer(rate), percent(over(all, forwarded.ofShare)), mibs(memory))
	f.row("plain", integer(over(all, forwarded.ofPlain)), "", "")
	f.atLeast(rate, forwardedBar, 0, "forwarding to a service on the same machine, 64 at once: at least 5,000 events a second", integer(rate)+" /s")
	f.under(memory, consumeMemoryBar, "forwarding: never over 96 MiB", mibs(memory))
	return f, nil
}

func (b *bench) forwardedRound(ctx context.Context, round int, service *target, url string) (one forwarded, err error) {
	for turn := range 2 {
		if (round+turn)%2 == 0 {
			err = b.forwardStored(ctx, service, url, &one)
		} else {
			one.plain, err = postAll(ctx, service, url)
		}
		if err != nil {
			return one, err
		}
	}
	return one, nil
}

// forwardStored fills the folder of a bridge, and starts it again with a consumer
// that begins with the first event.
func (b *bench) forwardStored(ctx context.Context, service *target, url string, one *forwarded) (err error) {
	dir := b.inDir("forwarded")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := b.startBridge(ctx, bridgeConfig{dir: dir})
	if err != nil {
		return err
	}
	_, err = c.sendMany(ctx, memoryConns, forwardedEvents)
	if err := errors.Join(err, c.stop()); err != nil {
		return err
	}
	count := service.begin()
	if c, err = b.startBridge(ctx, bridgeConfig{dir: dir, more: fmt.Sprintf(
		`consumers: {archive: {enabled: false}, service: {kind: forward, url: %q, secret: "env:%s", concurrency: %d, allow_private: true, start: all, filter: {status: failed}}}`,
		url, secretEnv, forwardedAtOnce,
	)}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if one.rate, err = count.wait(ctx); err != nil {
		return c.explain(err)
	}
	peak, err := c.size("VmHWM")
	one.memory = float64(peak)
	return err
}

// postAll posts as many webhooks without a bridge.
func postAll(ctx context.Context, service *target, url string) (rate float64, err error) {
	p, err := newPool(1, failedWebhook())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	count := service.begin()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: forwardedAtOnce}, Timeout: answerTimeout}
	defer client.CloseIdleConnections()
	group, posting := errgroup.WithContext(ctx)
	for n := range forwardedAtOnce {
		group.Go(func() error {
			for i := n; i < forwardedEvents; i += forwardedAtOnce {
				if err := post(posting, client, url, p.bodyOf(0)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return count.wait(ctx)
}

func post(ctx context.Context, client *http.Client, url string, body []byte) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("posting a webhook: %w", err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("posting a webhook: %w", err)
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	if answer.StatusCode != http.StatusNoContent {
		return errors.New("posting a webhook: the service answered " + strconv.Itoa(answer.StatusCode))
	}
	return nil
}
