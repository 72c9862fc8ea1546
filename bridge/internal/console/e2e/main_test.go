// Package e2e tries the console as a person does: in a browser, on a bridge that took webhooks.
package e2e

import (
	"testing"

	"go.uber.org/goleak"
)

// closing ends the browser of the tests before somebody looks what is left of them.
type closing struct{ *testing.M }

func (c closing) Run() int {
	code := c.M.Run()
	closeBrowser()
	return code
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(closing{m}) }
