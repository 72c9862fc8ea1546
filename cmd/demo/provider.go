package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	hookspan "github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/fakeget3w"
	"github.com/hookspan/hookspan/internal/sending"
)

const (
	providerKey = "demo-key-of-no-worth-0123456789" // what the provider's API asks for
	keyEnv      = "GET3W_API_KEY"
	lostTakes   = 200 * time.Millisecond // how long each prediction takes whose webhook is lost
)

// fate is what becomes of an output at the provider.
type fate int

const (
	kept fate = iota
	late      // answered 503 once, then served
	gone      // answered 410
)

type output struct {
	name string
	size int
	fate fate
	body []byte // nil: noise
}

// content is what is known of the output, or noise that is always the same for its name.
func (o output) content() []byte {
	if o.body != nil {
		return o.body
	}
	data := make([]byte, o.size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(o.name))).Read(data) // never fails
	return data
}

// provider serves outputs, and an API that runs predictions and loses their webhooks.
type provider struct {
	base    string // where it listens
	api     *fakeget3w.Provider
	outputs sync.Map // by name
	asked   sync.Map // names of late outputs that were asked for
}

func newProvider() *provider {
	return &provider{api: rig.Must(fakeget3w.New(fakeget3w.Config{
		Key: []byte(providerKey), Secret: []byte(rig.Secret), Rules: []fakeget3w.Rule{{Duration: lostTakes, DropEvery: 1}},
	}))}
}

func (s *provider) serve(p *plan) {
	for _, pred := range p.predictions {
		for _, o := range pred.outputs {
			s.outputs.Store(o.name, o)
		}
	}
}

func (s *provider) ask(ctx context.Context, method, address string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+providerKey)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r)
	return w
}

func (s *provider) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.api.Handler())
	mux.HandleFunc("GET /files/{name}", func(w http.ResponseWriter, r *http.Request) {
		found, known := s.outputs.Load(r.PathValue("name"))
		o, _ := found.(output)
		again := true
		if o.fate == late {
			_, again = s.asked.LoadOrStore(o.name, true)
		}
		switch {
		case !known:
			http.NotFound(w, r)
		case o.fate == gone:
			http.Error(w, "gone", http.StatusGone)
		case !again:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "try again in a second", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", map[string]string{".mp4": "video/mp4", ".png": "image/png"}[path.Ext(o.name)])
			w.Header().Set("Content-Length", strconv.Itoa(o.size))
			_, _ = w.Write(o.content()) // a cut download is the archive's to notice
		}
	})
	return mux
}

const sideBySide = 8

// send posts the jobs of the plan and counts the answers.
func (d *demo) send() {
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(sideBySide)
	for _, job := range d.plan.jobs {
		group.Go(func() error {
			c := &rig.Conn{Addr: d.bridge.Webhooks, Timeout: rig.AnswerTimeout}
			defer c.Close()
			for _, one := range job {
				a, err := c.Post(d.Context(), rig.Request(one.body, one.signature))
				if err != nil {
					return fmt.Errorf("sending a webhook: %w", err)
				}
				mu.Lock()
				d.got.answered(a)
				mu.Unlock()
			}
			return nil
		})
	}
	rig.Check(group.Wait())
}

// answered counts an answer. What is none of these is only among those sent.
func (c counts) answered(a sending.Answer) {
	c[sent]++
	if a.Status == http.StatusUnauthorized {
		c[unauthorized]++
	}
	result, _, err := a.Result()
	what, known := map[string]string{"stored": stored, "duplicate": duplicate, "quarantined": quarantined}[result]
	if a.Status == http.StatusOK && err == nil && known {
		c[what]++
	}
}

func (d *demo) countKept() {
	var list keptList
	d.bridge.Ask(&list, "quarantine", "list", "--api", d.bridge.Admin)
	d.got.kept(list)
}

type keptList struct {
	Entries []struct {
		Stream string `json:"stream"`
		Cause  string `json:"cause"`
	} `json:"entries"`
}

func (c counts) kept(list keptList) {
	seen := map[string]int64{}
	for _, e := range list.Entries {
		switch e.Stream {
		case "quarantine":
			c[inQuarantine]++
		case "refused":
			c[refused]++
		}
		if seen[e.Cause]++; seen[e.Cause] <= causes[e.Cause] {
			c[explained]++
		}
	}
}

const (
	lostModel = "google/imagen-4"
	// lostDeadline is when the end of a prediction should be known, from its announcement on.
	lostDeadline = 2 * time.Second
)

// lose has the provider run predictions whose webhooks it loses, announces them to the
// bridge, as the service does that submits them, and adds them to the plan with the
// outputs that the provider serves.
func (d *demo) lose(p *provider) {
	c := rig.Must(client.New(d.bridge.Admin, client.Options{}))
	defer c.Close()
	order := rig.Must(json.Marshal(map[string]string{"prompt": "a lighthouse", "webhook_url": "http://" + d.bridge.Webhooks + "/webhooks/" + rig.SourceName}))
	for range lost {
		var submitted struct {
			Data struct {
				ID string `json:"id"`
			} `json:"data"`
		}
		rig.Check(json.Unmarshal(p.ask(d.Context(), http.MethodPost, p.base+"/api/v3/"+lostModel, order).Body.Bytes(), &submitted))
		watched := rig.Must(c.Watch(d.Context(), hookspan.Watch{
			Source: rig.SourceName, Prediction: submitted.Data.ID, Model: lostModel, Deadline: time.Now().Add(lostDeadline), Reference: "demo",
		}))
		if watched.Result == hookspan.Stored {
			d.got[announced]++
		}
	}
	rig.Check(p.api.Settled(d.Context()))
	for _, ended := range p.api.Predictions() {
		pred := prediction{id: ended.ID, model: lostModel, lost: true}
		for _, address := range ended.Outputs {
			body := p.ask(d.Context(), http.MethodGet, address, nil).Body.Bytes()
			pred.outputs = append(pred.outputs, output{name: path.Base(address), size: len(body), body: body})
		}
		d.plan.predictions[ended.ID] = pred
	}
}

// countLost counts what the provider knows of the lost ones.
func (d *demo) countLost(p *provider) {
	d.got[webhooks] = int64(p.api.Totals().Dropped)
	for _, pred := range p.api.Predictions() {
		if pred.Polls == 1 {
			d.got[askedOnce]++
		}
	}
}
