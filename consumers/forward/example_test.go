package forward_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/hookspan/hookspan/consumers/consumertest"
	"github.com/hookspan/hookspan/consumers/forward"
)

// A forwarder is a handler: consumers.New runs one.
func ExampleNew() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.Header.Get("ce-type"), r.Header.Get("idempotency-key") != "", r.Header.Get("webhook-signature") != "")
		w.WriteHeader(http.StatusUnprocessableEntity)
	}))
	defer service.Close()
	f, err := forward.New(forward.Config{
		Name: "billing", URL: service.URL, Secrets: [][]byte{[]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")},
		AllowPrivate: true, // the service of this example is on loopback
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = f.Close() }()
	tried := consumertest.Handle(context.Background(), f, consumertest.Event(consumertest.Prediction{}))
	fmt.Println(tried.Action, tried.Cause)
	// Output:
	// POST com.get3w.prediction.completed.v1 true true
	// dead refused
}
