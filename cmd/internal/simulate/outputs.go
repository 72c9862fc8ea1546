package simulate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/fakeget3w"
	"github.com/hookspan/hookspan/internal/fakesender"
)

const (
	slowTakes = 2 * time.Second
	slowParts = 20
)

// outputServer serves the outputs of a plan, some of them badly.
type outputServer struct {
	plan     *plan
	host     string
	base     string // of the addresses
	listener net.Listener
	server   *http.Server
	began    time.Time
	asked    atomic.Int64
	cutOnce  sync.Map // names of outputs that were cut off
}

// listenOutputs returns a server that answers from [outputServer.serve] on.
func listenOutputs(address string) (*outputServer, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	host, _, _ := net.SplitHostPort(address) // Config.Check has split it
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return &outputServer{listener: listener, host: host, base: "http://" + net.JoinHostPort(host, port) + "/outputs/", began: time.Now()}, nil
}

func (s *outputServer) serve(p *plan) {
	s.plan = p
	mux := http.NewServeMux()
	mux.HandleFunc("GET /outputs/{name}", s.output)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	go func() { _ = s.server.Serve(s.listener) }() // it ends with close
}

func (s *outputServer) close() { _ = s.server.Close() }

func (s *outputServer) output(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	name := r.PathValue("name")
	at, known := s.plan.outputOf(name)
	if !known {
		http.NotFound(w, r)
		return
	}
	fate := s.plan.cfg.Outputs
	switch {
	case nth(at, fate.MissingEvery):
		http.Error(w, "gone", http.StatusGone)
		return
	case nth(at, fate.CutEvery):
		if _, cut := s.cutOnce.LoadOrStore(name, true); !cut {
			w = &cutWriter{ResponseWriter: w, left: fate.Bytes / 2}
		}
	case nth(at, fate.SlowEvery):
		w = &slowWriter{ResponseWriter: w, r: r, part: max(1, int(fate.Bytes/slowParts))}
	}
	s.plan.content(name).Serve(w, r, s.began)
}

// outputsOf returns the names of prediction n's outputs: those that are served, or the one that
// stands in the body.
func (p *plan) outputsOf(n int) []string {
	if _, inline := p.cfg.Sender.Inline(fakesender.Prediction{}); inline && p.status(n) == bridge.StatusCompleted && !p.broken(n) {
		return []string{inlineMark + p.id(n)}
	}
	return p.served(n)
}

const inlineMark = "in the body of "

// outputOf returns the number of an output among all, and false for one that is none.
func (p *plan) outputOf(name string) (int, bool) {
	id, rest, _ := strings.Cut(name, "-")
	n, ok := p.serial(id)
	i, err := strconv.Atoi(strings.TrimSuffix(rest, ".png"))
	known := ok && err == nil && n < p.cfg.Count && i < len(p.served(n)) && p.served(n)[i] == name
	return n*p.cfg.Outputs.Count + i, known
}

func (p *plan) content(name string) *fakeget3w.Content {
	return fakeget3w.NewContent(name, p.cfg.Seed, p.cfg.Outputs.Bytes)
}

// sum returns the checksum of an output, empty for one that is missing.
func (p *plan) sum(name string) string {
	if id, inline := strings.CutPrefix(name, inlineMark); inline {
		n, _ := p.serial(id)
		text, _ := p.cfg.Sender.Inline(p.prediction(n, false, time.Time{}))
		sum := sha256.Sum256(text)
		return hex.EncodeToString(sum[:])
	}
	if at, known := p.outputOf(name); !known || nth(at, p.cfg.Outputs.MissingEvery) {
		return ""
	}
	sum := sha256.New()
	_, _ = io.Copy(sum, p.content(name).Reader()) // neither fails
	return hex.EncodeToString(sum.Sum(nil))
}

// serveAPI serves the provider's API until stop.
func (p *plan) serveAPI() (stop func(), err error) {
	listener, err := net.Listen("tcp", p.cfg.APIListen)
	if err != nil {
		return nil, fmt.Errorf("--api-listen: %w", err)
	}
	server := &http.Server{Handler: p.cfg.Sender.API(p.cfg.Secret, p.find), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	go func() { _ = server.Serve(listener) }() // it ends with stop
	return func() { _ = server.Close() }, nil
}

// cutWriter breaks the connection off after some bytes.
type cutWriter struct {
	http.ResponseWriter

	left int64
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 {
		_, _ = w.ResponseWriter.Write(p[:int64(len(p))+w.left])
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return w.ResponseWriter.Write(p)
}

// slowWriter writes in parts, with pauses.
type slowWriter struct {
	http.ResponseWriter

	r    *http.Request
	part int
}

func (w *slowWriter) Write(p []byte) (done int, err error) {
	for err == nil && done < len(p) {
		var n int
		n, err = w.ResponseWriter.Write(p[done:min(len(p), done+w.part)])
		done += n
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		if !backoff.Sleep(w.r.Context(), slowTakes/slowParts) {
			return done, w.r.Context().Err()
		}
	}
	return done, err
}
