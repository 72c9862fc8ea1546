package client_test

import (
	"context"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
)

// Submit a prediction through the bridge and wait for its outputs.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	c, err := client.New("http://127.0.0.1:8081", client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	submitted, err := c.Submit(ctx, client.SubmitRequest{
		Source: "get3w", Model: "get3w/flux-dev", Input: []byte(`{"prompt":"a lighthouse"}`), Reference: "order 7", IdempotencyKey: "order-7",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	state, err := c.Await(ctx, submitted.Source, submitted.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, output := range state.Outputs {
		fmt.Println(state.Status, output.URL)
	}
}

// Announce a prediction that was submitted without the bridge: its end becomes known also
// when its webhook does not come.
func ExampleClient_Watch() {
	c, err := client.New("http://127.0.0.1:8081", client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	watched, err := c.Watch(context.Background(), bridge.Watch{
		Source: "get3w", Prediction: "pred_1", Deadline: time.Now().Add(10 * time.Minute), Reference: "order 7",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(watched.Result)
}

// Show the progress of a prediction.
func ExampleClient_Follow() {
	c, err := client.New("http://127.0.0.1:8081", client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	err = c.Follow(context.Background(), "get3w", "pred_1", func(u bridge.PredictionUpdate) error {
		if u.Progress != nil {
			fmt.Printf("%.0f %%\n", 100*u.Progress.Progress)
		}
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
}
