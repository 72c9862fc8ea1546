package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	aloneEnds = 100 // predictions of a round that one after the other are waited for
	crowd     = 5000
	crowdRate = 300
	// crowdFiles is how many open files a process needs for the crowd, and for those
	// whose predictions end.
	crowdFiles       = 2 * crowd
	announcers       = 16
	waitersTick      = 2 * time.Millisecond
	longestWait      = 5 * time.Minute // of one request
	waitersMetric    = "hookspan_prediction_waiters "
	crowdConnections = 32
)

// woken is how long waiters took, in ms, from when a webhook was sent and from when it
// was answered, since it was stored.
type woken struct {
	sent50, sent99, stored50, stored99 float64
}

func (w woken) ofSent50() float64   { return w.sent50 }
func (w woken) ofSent99() float64   { return w.sent99 }
func (w woken) ofStored50() float64 { return w.stored50 }
func (w woken) ofStored99() float64 { return w.stored99 }

// measureAwaited looks at those who wait for the end of a prediction by the API.
func (b *bench) measureAwaited(ctx context.Context, parent string, f *finding) (err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("asking how many files can be open: %w", err)
	}
	if limit.Max < crowdFiles {
		f.text += fmt.Sprintf("**Waiting.** Not measured: a process can have %d files open, this needs %d.\n", limit.Max, crowdFiles)
		return nil
	}
	dir := filepath.Join(parent, "awaited")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := b.startBridge(ctx, bridgeConfig{dir: dir, nats: roomy})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	var alone, many []woken
	for round := range b.rounds {
		b.progress("one waits, round %d of %d", round+1, b.rounds)
		one, err := c.aloneRound(ctx)
		if err != nil {
			return c.explain(fmt.Errorf("round %d: %w", round+1, err))
		}
		alone = append(alone, one)
	}
	disperse, err := c.gather(ctx)
	if err != nil {
		return c.explain(err)
	}
	defer disperse()
	for round := range b.rounds {
		b.progress("%d wait, round %d of %d", crowd, round+1, b.rounds)
		one, err := c.crowdRound(ctx, b.steady())
		if err != nil {
			return c.explain(fmt.Errorf("round %d: %w", round+1, err))
		}
		many = append(many, one)
	}
	memory, err := c.size("VmRSS")
	if err != nil {
		return err
	}
	awaitedFinding(f, alone, many, float64(memory))
	return nil
}

func awaitedFinding(f *finding, alone, many []woken, memory float64) {
	f.text += fmt.Sprintf("**Waiting.** `hookspan serve` with default settings, which folds the same events meanwhile. Requests wait for predictions by the API, `GET /api/v1/predictions/…?wait=%v`, each on a connection of its own; all were announced before. "+
		"Once a single one waits, and its webhook is sent then, %d times one after the other; and once %d wait for what does not end, beside those who wait for the predictions whose webhooks come at %d a second, by the clock. "+
		"Times are until the whole answer has come, from when the webhook was sent, so they hold its way in and its sync, and from when the sender was answered that it is stored, which is a little after the store has acknowledged it. The bars are of the longer ones.\n",
		longestWait, aloneEnds, crowd, crowdRate)
	alone50, many99 := over(alone, woken.ofSent50), over(many, woken.ofSent99)
	f.row("one waits: webhook sent until its answer, p50", decimal(alone50)+" ms")
	f.row("the same, p99", decimal(over(alone, woken.ofSent99))+" ms")
	f.row("one waits: webhook answered until its answer, p50", decimal(over(alone, woken.ofStored50))+" ms")
	f.row("5,000 wait: webhook sent until the answer, p50", decimal(over(many, woken.ofSent50))+" ms")
	f.row("the same, p99", decimal(many99)+" ms")
	f.row("5,000 wait: webhook answered until the answer, p50", decimal(over(many, woken.ofStored50))+" ms")
	f.row("the same, p99", decimal(over(many, woken.ofStored99))+" ms")
	f.row("memory of the bridge while they wait", inMiB(memory))
	f.under(alone50, aloneBar, "who waits for a prediction has its end within 5 ms of the sending of its webhook, p50", decimal(alone50)+" ms")
	f.under(many99, crowdBar, "the same beside 5,000 who wait, 300 webhooks a second: p99 under 20 ms", decimal(many99)+" ms")
}

// aloneRound has one wait for each prediction, one after the other.
func (c *child) aloneRound(ctx context.Context) (one woken, err error) {
	p, err := newPool(aloneEnds, failedWebhook())
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	p.renew(p.count)
	if err := c.announce(ctx, p); err != nil {
		return one, err
	}
	waiters, goAway, err := dialAll(ctx, c.admin, 1)
	if err != nil {
		return one, err
	}
	defer goAway()
	workers, hangUp, err := senders(ctx, c.addr, 1, p)
	if err != nil {
		return one, err
	}
	defer hangUp()
	times := newEnds(p.count)
	for i := range p.count {
		if err := waiters[0].ask(c.admin, p.id(i)); err != nil {
			return one, err
		}
		if err := c.untilWaiting(ctx, 1); err != nil {
			return one, err
		}
		var group errgroup.Group
		group.Go(func() (err error) { times.woke[i], err = waiters[0].told(p.id(i)); return err })
		if err := times.sending(workers[0])(ctx, i); err != nil {
			return one, err
		}
		if err := group.Wait(); err != nil {
			return one, err
		}
	}
	return times.since(0), nil
}

// gather has the crowd wait for what does not end, until disperse is called.
func (c *child) gather(ctx context.Context) (disperse func(), err error) {
	p, err := newPool(crowd, failedWebhook())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	p.renew(p.count)
	if err := c.announce(ctx, p); err != nil {
		return nil, err
	}
	_, disperse, err = c.askAll(ctx, p)
	return disperse, err
}

// askAll has a connection for each prediction of the pool ask for it.
func (c *child) askAll(ctx context.Context, p *pool) (all []*sender, hangUp func(), err error) {
	if all, hangUp, err = dialAll(ctx, c.admin, p.count); err != nil {
		return nil, nil, err
	}
	for i, s := range all {
		if err := s.ask(c.admin, p.id(i)); err != nil {
			hangUp()
			return nil, nil, err
		}
	}
	return all, hangUp, nil
}

// crowdRound ends predictions at a fixed rate, while the crowd waits.
func (c *child) crowdRound(ctx context.Context, w window) (one woken, err error) {
	count := loopCount(crowdRate, w)
	p, err := newPool(count, failedWebhook())
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	p.renew(count)
	if err := c.announce(ctx, p); err != nil {
		return one, err
	}
	waiters, goAway, err := c.askAll(ctx, p)
	if err != nil {
		return one, err
	}
	defer goAway()
	if err := c.untilWaiting(ctx, crowd+count); err != nil {
		return one, err
	}
	workers, hangUp, err := senders(ctx, c.addr, crowdConnections, p)
	if err != nil {
		return one, err
	}
	defer hangUp()
	times := newEnds(count)
	for n := range workers {
		workers[n] = times.sending(workers[n])
	}
	var group errgroup.Group
	for i, s := range waiters {
		group.Go(func() (err error) { times.woke[i], err = s.told(p.id(i)); return err })
	}
	if _, err := openLoop(ctx, workers, crowdRate, p, w); err != nil {
		return one, err
	}
	if err := group.Wait(); err != nil {
		return one, err
	}
	return times.since(loopCount(crowdRate, window{measured: w.warm})), c.untilWaiting(ctx, crowd)
}

// ends are when webhooks were sent and answered, and when who waited for the
// prediction had its end.
type ends struct {
	sent, answered, woke []time.Time
}

func newEnds(n int) ends {
	return ends{make([]time.Time, n), make([]time.Time, n), make([]time.Time, n)}
}

// sending is the worker, whose times are noted.
func (e ends) sending(send worker) worker {
	return func(ctx context.Context, i int) error {
		e.sent[i] = time.Now()
		err := send(ctx, i)
		e.answered[i] = time.Now()
		return err
	}
}

// since is about all but the first ones.
func (e ends) since(first int) woken {
	var sent, stored []float64
	for i := first; i < len(e.sent); i++ {
		sent = append(sent, inMs(e.woke[i].Sub(e.sent[i])))
		stored = append(stored, max(0, inMs(e.woke[i].Sub(e.answered[i]))))
	}
	return woken{percentile(sent, 50), percentile(sent, 99), percentile(stored, 50), percentile(stored, 99)}
}

// announce has every prediction of the pool watched.
func (c *child) announce(ctx context.Context, p *pool) error {
	all, hangUp, err := dialAll(ctx, c.admin, announcers)
	if err != nil {
		return err
	}
	defer hangUp()
	var group errgroup.Group
	for n, s := range all {
		group.Go(func() error {
			for i := n; i < p.count; i += announcers {
				request := fmt.Sprintf("PUT /api/v1/predictions/%s/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", sourceName, p.id(i), c.admin)
				if err := s.send([]byte(request)); err != nil {
					return fmt.Errorf("announcing a prediction: %w", err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// ask asks for a prediction once it has its end.
func (s *sender) ask(host, id string) error {
	if err := s.conn.SetDeadline(time.Now().Add(longestWait)); err != nil {
		return fmt.Errorf("asking for a prediction: %w", err)
	}
	if _, err := fmt.Fprintf(s.conn, "GET /api/v1/predictions/%s/%s?wait=%v HTTP/1.1\r\nHost: %s\r\n\r\n", sourceName, id, longestWait, host); err != nil {
		return fmt.Errorf("asking for a prediction: %w", err)
	}
	return nil
}

// told returns when the answer to ask has come.
func (s *sender) told(id string) (at time.Time, err error) {
	status, length, err := s.readHead()
	if err != nil {
		return at, err
	}
	body, err := s.in.Peek(length)
	at = time.Now()
	if err != nil {
		return at, fmt.Errorf("reading the body of an answer: %w", err)
	}
	if status != http.StatusOK || !bytes.Contains(body, []byte(id)) || !bytes.Contains(body, []byte(`"status":"failed"`)) {
		return at, fmt.Errorf("who waited for %s was answered %d %q", id, status, body)
	}
	_, err = s.in.Discard(length)
	return at, err
}

// untilWaiting returns when at least n wait.
func (c *child) untilWaiting(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		waiting, err := c.waiting(ctx)
		if err != nil {
			return fmt.Errorf("asking how many wait: %w", err)
		}
		if waiting >= n {
			return nil
		}
		if pause(ctx, waitersTick) != nil {
			return fmt.Errorf("only %d of %d wait", waiting, n)
		}
	}
}

// waiting is how many wait.
func (c *child) waiting(ctx context.Context) (n int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.admin+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _, err = io.Copy(io.Discard, answer.Body); err = errors.Join(err, answer.Body.Close()) }()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), waitersMetric); ok {
			return strconv.Atoi(value)
		}
	}
	return 0, errors.New("the metrics do not say")
}
