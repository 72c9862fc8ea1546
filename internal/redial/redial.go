// Package redial keeps a JetStream context going after its connection was closed for good.
// nats.go reconnects after most losses, but not after two equal authentication errors, after an
// unknown error of the server, such as "maximum payload violation", or after its last allowed
// attempt: it closes the connection, and only a new one helps.
package redial

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The first new connection is dialed at once. The next pauses start at firstPause and double up
// to longestPause, until a connection has lived for longer than that.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
)

// JetStream is a [jetstream.JetStream] whose connection is replaced when it was closed against
// its owner's will. Every call goes to the current connection; between two connections it fails
// with nats.ErrConnectionClosed.
//
// Streams, consumers, buckets and subscriptions stay with the connection that made them: when
// they fail they must be looked up or made again. It is safe for concurrent use.
type JetStream struct {
	dial  func() (*nats.Conn, error)
	heard func(nc *nats.Conn, status nats.Status)
	// owned: only Close may close a connection, any other end is a fault.
	owned bool
	warn  func(msg string, args ...any)

	now  atomic.Pointer[jetstream.JetStream]
	stop context.CancelFunc
	done chan struct{}
}

// Open dials a connection and keeps it going until [JetStream.Close]. It returns the first
// error of dial; later ones go to warn, as a message with keys and values, and dialing goes on
// for ever. heard is called with each status of a connection, by a goroutine of its own.
// domain is the JetStream domain, or empty for that of the server.
func Open(dial func() (*nats.Conn, error), heard func(nc *nats.Conn, status nats.Status), warn func(msg string, args ...any), domain string) (*JetStream, error) {
	nc, err := dial()
	if err != nil {
		return nil, err
	}
	js, err := likewise(nc, jetstream.JetStreamOptions{Domain: domain})
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("using JetStream: %w", err)
	}
	j := &JetStream{dial: dial, heard: heard, owned: true, warn: warn, done: make(chan struct{})}
	j.now.Store(&js)
	ctx, stop := context.WithCancel(context.Background())
	j.stop = stop
	go func() {
		defer close(j.done)
		_ = j.follow(ctx) // an owned connection is replaced for ever
	}()
	return j, nil
}

// Close closes the connection and stops dialing.
func (j *JetStream) Close() {
	j.stop()
	<-j.done
	j.Conn().Close()
}

// Borrow returns js so that it can outlive its connection, which belongs to somebody else,
// while [JetStream.Run] runs. It returns the result of [Open] as it is.
func Borrow(js jetstream.JetStream, warn func(msg string, args ...any)) *JetStream {
	if j, ok := js.(*JetStream); ok {
		return j
	}
	lent := js.Conn()
	dial := func() (*nats.Conn, error) {
		opts := lent.Opts
		// The owner's callback is for the end of the lent connection alone.
		opts.ClosedCB, opts.NoCallbacksAfterClientClose = nil, true
		return opts.Connect()
	}
	j := &JetStream{dial: dial, heard: func(*nats.Conn, nats.Status) {}, warn: warn}
	j.now.Store(&js)
	return j
}

// Run replaces a borrowed connection that was closed by an error with one of the same options,
// until ctx ends; then it closes the replacement, if there is one, and returns nil. It returns
// an error that wraps nats.ErrConnectionClosed when the owner has closed the connection. For a
// result of [Open] it only waits for ctx.
func (j *JetStream) Run(ctx context.Context) error {
	if j.owned {
		<-ctx.Done()
		return nil
	}
	lent := j.Conn()
	err := j.follow(ctx)
	if nc := j.Conn(); nc != lent {
		nc.Close()
	}
	return err
}

// Conn returns the current connection, which may be closed.
func (j *JetStream) Conn() *nats.Conn { return j.js().Conn() }

func (j *JetStream) js() jetstream.JetStream { return *j.now.Load() }

func (j *JetStream) follow(ctx context.Context) error {
	pause := time.Duration(0)
	for {
		began := time.Now()
		last, closed := j.awaitClosed(ctx)
		if !closed {
			return nil
		}
		nc := j.Conn()
		if !j.owned && !closedByError(nc, last) {
			return fmt.Errorf("using the connection to NATS: %w", nats.ErrConnectionClosed)
		}
		j.warn("the connection to NATS was closed, dialing a new one", "closed_by", nc.LastError())
		if time.Since(began) > longestPause {
			pause = 0
		}
		if !j.replace(ctx, &pause) {
			return nil
		}
	}
}

func (j *JetStream) replace(ctx context.Context, pause *time.Duration) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(*pause):
		}
		*pause = min(max(2**pause, firstPause), longestPause)
		nc, err := j.dial()
		if err == nil {
			var js jetstream.JetStream
			if js, err = likewise(nc, j.js().Options()); err == nil {
				j.now.Store(&js)
				return true
			}
			nc.Close()
		}
		j.warn("NATS cannot be reached, dialing again", "in", *pause, "error", err)
	}
}

// likewise returns a JetStream context with the options of another one, except those of
// asynchronous publishes, which cannot be read.
func likewise(nc *nats.Conn, as jetstream.JetStreamOptions) (jetstream.JetStream, error) {
	var opts []jetstream.JetStreamOpt
	if as.DefaultTimeout > 0 {
		opts = append(opts, jetstream.WithDefaultTimeout(as.DefaultTimeout))
	}
	if as.ClientTrace != nil {
		opts = append(opts, jetstream.WithClientTrace(as.ClientTrace))
	}
	switch {
	case as.Domain != "":
		return jetstream.NewWithDomain(nc, as.Domain, opts...)
	case as.APIPrefix != "":
		return jetstream.NewWithAPIPrefix(nc, as.APIPrefix, opts...)
	}
	return jetstream.New(nc, opts...)
}
