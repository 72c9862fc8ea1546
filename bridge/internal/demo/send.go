package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// sideBySide is how many webhooks are under way at once.
	sideBySide = 8
	// senderTimeout is how long the provider waits for an answer.
	senderTimeout = 30 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 64 << 10
)

// answers counts what the sender was told. What is none of these is only in sent.
type answers struct {
	sent, stored, duplicate, unauthorized, quarantined int
}

func (a *answers) add(status int, result string) {
	a.sent++
	switch {
	case status == http.StatusOK && result == "stored":
		a.stored++
	case status == http.StatusOK && result == "duplicate":
		a.duplicate++
	case status == http.StatusOK && result == "quarantined":
		a.quarantined++
	case status == http.StatusUnauthorized:
		a.unauthorized++
	}
}

// send posts the jobs and counts the answers. An error is one of a delivery that
// got none.
func send(ctx context.Context, address string, jobs [][]delivery) (answers, error) {
	client := &http.Client{Timeout: senderTimeout}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var got answers
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sideBySide)
	for _, job := range jobs {
		group.Go(func() error {
			for _, d := range job {
				status, result, err := post(ctx, client, address, d)
				if err != nil {
					return fmt.Errorf("sending a webhook: %w", err)
				}
				mu.Lock()
				got.add(status, result)
				mu.Unlock()
			}
			return nil
		})
	}
	err := group.Wait()
	return got, err
}

// post sends one delivery. The result is what a 200 says.
func post(ctx context.Context, client *http.Client, address string, d delivery) (status int, result string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(d.body))
	if err != nil {
		return 0, "", err
	}
	req.Header = d.header.Clone()
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil || res.StatusCode != http.StatusOK {
		return res.StatusCode, "", err
	}
	var answer struct {
		Result string `json:"result"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return 0, "", fmt.Errorf("reading the answer %.100q: %w", text, err)
	}
	return res.StatusCode, answer.Result, nil
}
