package stream_test

import (
	"testing"

	"go.uber.org/goleak"
)

// The server's background goroutines end a little after it has shut down;
// goleak waits for them.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
