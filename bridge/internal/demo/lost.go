package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"time"

	hookspan "github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
)

const (
	// lost is how many predictions the provider runs whose webhook it loses.
	lost = 3
	// lostModel is theirs, lostTakes how long each takes, and lostDeadline how long
	// after its announcement its end should be known.
	lostModel    = "google/imagen-4"
	lostTakes    = 200 * time.Millisecond
	lostDeadline = 2 * time.Second
	// maxLostOutput bounds what is read of an output, in bytes.
	maxLostOutput = 1 << 20
)

// lostCounts is what bridge and provider said of predictions whose webhook was lost.
type lostCounts struct {
	// announced is how many announcements the bridge has stored.
	announced int
	// webhooks is how many the provider lost without a try.
	webhooks int
	// askedOnce is how many of the predictions the provider was asked for once.
	askedOnce int
}

// lose has the provider run predictions whose webhooks it loses, announces them to the
// bridge, as the service does that submits them, and adds them to the plan with the
// outputs that the provider serves. It returns how many the bridge has stored.
func (s *provider) lose(ctx context.Context, b *bridge, p *plan) (announced int, err error) {
	c, err := client.New(b.admin, client.Options{})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var ids []string
	for range lost {
		id, err := s.submit(ctx, b.webhooks)
		if err != nil {
			return announced, fmt.Errorf("submitting a prediction: %w", err)
		}
		ids = append(ids, id)
		watched, err := c.Watch(ctx, hookspan.Watch{
			Source: sourceName, Prediction: id, Model: lostModel, Deadline: time.Now().Add(lostDeadline), Reference: "demo",
		})
		if err != nil {
			return announced, fmt.Errorf("announcing a prediction: %w", err)
		}
		if watched.Result == hookspan.Stored {
			announced++
		}
	}
	if err := s.api.Settled(ctx); err != nil {
		return announced, fmt.Errorf("waiting for the provider: %w", err)
	}
	for _, id := range ids {
		pred := prediction{id: id, model: lostModel, lost: true}
		ended, _ := s.api.Prediction(id)
		for _, address := range ended.Outputs {
			body, err := s.ask(ctx, http.MethodGet, address, nil)
			if err != nil {
				return announced, fmt.Errorf("asking for an output: %w", err)
			}
			pred.outputs = append(pred.outputs, output{name: path.Base(address), size: len(body), body: body})
		}
		p.predictions[id] = pred
	}
	return announced, nil
}

// lostCounts says what the provider knows of the lost ones.
func (s *provider) lostCounts(announced int) lostCounts {
	c := lostCounts{announced: announced, webhooks: s.api.Totals().Dropped}
	for _, pred := range s.api.Predictions() {
		if pred.Polls == 1 {
			c.askedOnce++
		}
	}
	return c
}

// submit has the provider begin a prediction, and returns its id.
func (s *provider) submit(ctx context.Context, webhooks string) (id string, err error) {
	body, err := json.Marshal(map[string]string{"prompt": "a lighthouse", "webhook_url": webhooks})
	if err != nil {
		return "", err
	}
	address, err := url.JoinPath(s.apiURL, lostModel)
	if err != nil {
		return "", err
	}
	text, err := s.ask(ctx, http.MethodPost, address, body)
	if err != nil {
		return "", err
	}
	var answer struct {
		Data struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", fmt.Errorf("reading the answer %.100q: %w", text, err)
	}
	return answer.Data.ID, nil
}

// ask makes one request of the provider, with the key.
func (s *provider) ask(ctx context.Context, method, address string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: senderTimeout}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxLostOutput))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answered %d", res.StatusCode)
	}
	return text, err
}
