package bridge_test

import (
	"fmt"

	"github.com/hookspan/hookspan/bridge"
)

func ExampleNames_Event() {
	fmt.Println(bridge.Names{}.Event("get3w", bridge.StatusCompleted, "black-forest-labs/flux-1.1-pro"))
	// Output: hookspan.events.get3w.prediction.completed.black-forest-labs.flux-1=2E1-pro
}

func ExampleFilter_Subjects() {
	f := bridge.Filter{Statuses: []string{bridge.StatusFailed}, Model: "google/*"}
	fmt.Println(f.Subjects(bridge.Names{}))
	// Output: [hookspan.events.*.prediction.failed.google.>] false
}

func ExampleParsePrediction() {
	p, err := bridge.ParsePrediction([]byte(`{"id":"pred_1","status":"completed","outputs":["https://cdn.get3w.com/x.png","a caption"]}`))
	fmt.Println(p.ID, p.Outputs[0].URL, string(p.Outputs[1].Raw), err)
	// Output: pred_1 https://cdn.get3w.com/x.png "a caption" <nil>
}
