package archive_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hookspan/hookspan/consumers/archive"
	"github.com/hookspan/hookspan/consumers/consumertest"
)

// An archive is a handler: consumers.New runs one.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "archive")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	a, err := archive.New(archive.Config{Name: "archive", Location: archive.Location{Dir: dir}, Hosts: []string{"cdn.get3w.com"}})
	if err != nil {
		panic(err)
	}
	defer func() { _ = a.Close() }()

	// Outputs that are no addresses are kept as they are.
	tried := consumertest.Handle(context.Background(), a, consumertest.Event(consumertest.Prediction{Outputs: []any{"a poem"}}))
	fmt.Println(tried.Action, tried.Note)
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*", "*", "pred_1", "*"))
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		fmt.Println(filepath.Base(file))
	}
	// Output:
	// done 1 output, 6 B
	// 0.txt
	// event.json
	// manifest.json
}
