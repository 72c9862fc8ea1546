package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	hookspan "github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// sideBySide is how many webhooks are under way at once.
const sideBySide = 8

// send posts the jobs of the plan and counts the answers. A delivery that gets none ends
// the demo.
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
func (c counts) answered(a rig.Answer) {
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

// countKept asks the bridge for what was kept of deliveries that are no event, as an
// operator does.
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
	// lostDeadline is how long after its announcement the end of a prediction should be
	// known.
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
