package redelivery_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workerArgument {
		os.Exit(workerMain(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}
