package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/sending"
)

// kills is how often a process is killed: enough to meet it in different moments.
func (l *lab) kills() int { return min(max(l.events/5000, 3), 15) }

func killBridge(l *lab) {
	l.begin()
	l.crash(l.kills(), func() { l.bridge.Kill() })
	l.note("killed %d times; the time to a 200 is the longest, with the start", l.kills())
	l.end()
}

func (l *lab) crash(times int, end func()) {
	l.each(times, 0, func(int) {
		l.Pause(l.uptime())
		l.heal() // it is over as soon as it is done
		end()
		l.start()
		l.recovered()
	})
}

func secondProcess(l *lab) {
	l.begin()
	const tries = 3
	second := l.config
	second.Name = "second"
	l.each(tries, 0, func(int) {
		second.Port = rig.FreePort()
		switch err := rig.Try(func() { l.StartBridge(second) }); {
		case err == nil:
			l.wrong("a second bridge has run on the same data folder")
		case !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(err.Error(), second.Data):
			l.wrong("a second bridge did not end with code 1 and name the folder: %v", err)
		}
	})
	l.sameProcess()
	l.note("the second one refused to start, %d times", tries)
	l.heal()
	l.end()
}

// sameProcess: the bridge must not have ended.
func (l *lab) sameProcess() {
	if !l.bridge.Alive() {
		l.wrong("the bridge has ended:\n%s", l.bridge.Tail())
	}
}

const (
	healthEvery   = 100 * time.Millisecond
	healthTimeout = 2 * time.Second
	// leaveTime lets the balancer leave a bridge before that stops.
	leaveTime = 5 * healthEvery
	fitWait   = 10 * time.Second // the longest time until the balancer takes a bridge that is ready
)

// pair has two bridges with a folder each before one NATS, and a balancer before them. At each
// turn one of them is ended and started again. It returns all bridges that ran.
func (l *lab) pair(turns int, end func(b *rig.Bridge), change ...func(turn int, c *rig.BridgeConfig)) (ran []*rig.Bridge) {
	n := l.StartNATS(rig.NATSConfig{})
	l.nats = n.URL
	var configs [2]rig.BridgeConfig
	bridges := make([]*rig.Bridge, len(configs))
	for i := range configs {
		configs[i] = rig.BridgeConfig{
			Name: fmt.Sprintf("bridge-%d", i), Port: rig.FreePort(), Log: "warn", Ingress: fmt.Sprintf("shutdown_delay: %v", leaveTime),
			NATS: rig.ExternalNATS(n.URL), More: noArchive,
		}
		bridges[i] = l.StartBridge(configs[i])
	}
	ran = slices.Clone(bridges)
	l.info()
	waitFit := l.balance(bridges[0].Webhooks, bridges[1].Webhooks)
	waitFit()
	l.send()
	l.each(turns, 0, func(turn int) {
		i := turn % len(bridges)
		end(bridges[i])
		for _, c := range change {
			c(turn, &configs[i])
		}
		bridges[i] = l.StartBridge(configs[i])
		ran = append(ran, bridges[i])
		waitFit()
	})
	l.heal()
	l.note("they were ended %d times in turn; refused were %v", turns, l.book.snapshot().RefusedBy)
	l.end()
	return ran
}

func rollingRestart(l *lab) {
	const turns = 6
	l.pair(turns, func(b *rig.Bridge) { rig.Must(b.Stop()) })
}

// ends is how often a bridge is ended in the faults that are about that alone.
func (l *lab) ends() int { return min(max(l.events/1000, 10), 100) }

// killedPair: a webhook may be refused only when it was with the bridge that is killed.
func killedPair(l *lab) {
	l.pair(l.ends(), func(b *rig.Bridge) { b.Kill() })
	refused := 0
	for _, n := range l.book.snapshot().RefusedBy {
		refused += n
	}
	if most := l.ends() * l.conns; refused > most {
		l.wrong("%d attempts were refused, of which at most %d were in flight", refused, most)
	}
}

const (
	heldRate = 200
	heldGap  = 2 * time.Second
)

// heldSocket restarts the bridge again and again, as systemd does with a socket of its own,
// under a sender that tries each webhook at most twice.
func heldSocket(l *lab) {
	l.rate, l.schedule = heldRate, sending.Schedule{Gaps: []time.Duration{heldGap}, Timeout: rig.AnswerTimeout}
	l.config.Socket = l.Hold(l.addr())
	l.begin()
	l.each(l.ends(), 0, func(int) {
		rig.Must(l.bridge.Stop())
		l.start()
	})
	l.heal()
	l.end()
	c := l.book.snapshot()
	l.note("restarted %d times; first attempts without an answer were %v", l.ends(), c.RefusedBy)
	if n := c.RefusedBy[sending.ErrNoConnection.Error()]; n > 0 {
		l.wrong("%d connections were refused", n)
	}
}

// balance runs a small HTTP load balancer before the bridges at these addresses: it asks
// each again and again whether it takes webhooks, and goes round among those that do. The
// returned function waits until all do.
func (l *lab) balance(addrs ...string) (waitFit func()) {
	fit := make([]atomic.Bool, len(addrs))
	ctx, stop := context.WithCancel(l.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		for rig.Pause(ctx, healthEvery) == nil {
			for i, addr := range addrs {
				fit[i].Store(takesWebhooks(ctx, addr))
			}
		}
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	l.OnClose(func() error { stop(); asking.Wait(); transport.CloseIdleConnections(); return nil })
	var turn atomic.Uint64
	l.ServeAt(l.addr(), &httputil.ReverseProxy{
		Transport: failover{transport, addrs},
		Rewrite: func(p *httputil.ProxyRequest) {
			next, all := turn.Add(1), uint64(len(addrs))
			if !fit[next%all].Load() {
				next++
			}
			p.Out.URL.Scheme, p.Out.URL.Host = "http", addrs[next%all]
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	return func() {
		for i, addr := range addrs {
			rig.Check(l.Until("the balancer takes "+addr, fitWait, healthEvery, func(context.Context) bool { return fit[i].Load() }))
		}
	}
}

// failover goes to another bridge when one takes no connection, as balancers do: nothing was
// sent yet.
type failover struct {
	*http.Transport
	addrs []string
}

// RoundTrip implements http.RoundTripper.
func (f failover) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := f.Transport.RoundTrip(r)
	for _, addr := range f.addrs {
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" {
			break
		}
		r.URL.Host = addr
		response, err = f.Transport.RoundTrip(r)
	}
	return response, err
}

func takesWebhooks(ctx context.Context, addr string) bool {
	c := &rig.Conn{Addr: addr, Timeout: healthTimeout}
	defer c.Close()
	answer, err := c.Post(ctx, fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", addr))
	return err == nil && answer.Status == http.StatusOK
}
