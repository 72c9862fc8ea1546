package consumertest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/consumertest"
)

// billing is what a team tests: it charges for completed predictions.
func billing(_ context.Context, ev *bridge.Event) error {
	p, err := ev.Prediction()
	switch {
	case err != nil:
		return consumers.Permanent(err)
	case ev.Query["customer"] == "":
		return consumers.Permanent(errors.New("no customer"))
	case len(p.Outputs) == 0:
		return consumers.RetryAfter(errors.New("the price is not known yet"), time.Minute)
	}
	return nil
}

func ExampleHandle() {
	for _, p := range []consumertest.Prediction{
		{Outputs: []any{"https://cdn.get3w.com/a.png"}, Query: map[string]string{"customer": "7"}},
		{Query: map[string]string{"customer": "7"}},
		{},
	} {
		tried := consumertest.Handle(context.Background(), consumers.HandlerFunc(billing), consumertest.Event(p))
		fmt.Println(tried.Action, tried.Delay, tried.Cause, tried.Err)
	}
	// Output:
	// done 0s  <nil>
	// retry 1m0s  the price is not known yet
	// dead 0s permanent no customer
}

// A test of a whole consumer. It needs a test to run in, so it is compiled and not run here.
func ExampleStart() {
	_ = func(t *testing.T) {
		s := consumertest.Start(t)
		s.Run(consumers.HandlerFunc(billing), consumers.Config{Name: "billing", Once: true})
		ev := consumertest.Event(consumertest.Prediction{})
		s.Publish(ev)
		if got := s.Wait("billing", ev); got != consumers.ActionDead {
			t.Fatalf("it is %v", got)
		}
		for _, dead := range s.DeadLetters("billing") {
			t.Log(dead.Event.PredictionID, dead.Cause, dead.Error)
		}
	}
}

func ExampleEvent() {
	ev := consumertest.Event(consumertest.Prediction{Model: "google/nano-banana", Error: "no credit"})
	fmt.Println(ev.PredictionID, ev.Model, ev.Status)
	fmt.Println(string(ev.Body))
	// Output:
	// pred_1 google/nano-banana failed
	// {"id":"pred_1","model":"google/nano-banana","status":"failed","error":"no credit"}
}
