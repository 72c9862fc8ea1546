package exec_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/hookspan/hookspan/consumers/consumertest"
	"github.com/hookspan/hookspan/consumers/exec"
)

// A runner is a handler: consumers.New runs one.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "exec")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	r, err := exec.New(exec.Config{
		Name: "thumbnails", Dir: dir,
		Command: []string{"/bin/sh", "-c", `echo "$HOOKSPAN_PREDICTION_ID is $HOOKSPAN_STATUS"; exit 65`},
	})
	if err != nil {
		panic(err)
	}
	tried := consumertest.Handle(context.Background(), r, consumertest.Event(consumertest.Prediction{}))
	fmt.Println(tried.Action, tried.Cause, strings.TrimSpace(tried.Note))
	// Output: dead permanent pred_1 is completed
}
