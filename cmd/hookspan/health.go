package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

type healthCmd struct {
	apiFlag
	Live    bool          `help:"Ask only whether the process serves, and not whether it can store webhooks."`
	Timeout time.Duration `default:"5s" help:"How long to wait for the answer."`
}

// Validate is called by kong.
func (c *healthCmd) Validate() error {
	if c.Timeout <= 0 {
		return errors.New("--timeout: use more than zero")
	}
	return nil
}

// health is the answer of a bridge.
type health struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
}

// maxHealth bounds the answer, in bytes.
const maxHealth = 64 << 10

// Run prints one line, and fails unless the bridge is well. It needs no token.
func (c *healthCmd) Run(e *env) error {
	ctx, cancel := context.WithTimeoutCause(e.ctx, c.Timeout, fmt.Errorf("no answer within %v: it starts, hangs, or is not reached; --timeout waits longer", c.Timeout))
	defer cancel()
	h, err := c.ask(ctx, e)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("the bridge is not well: %w", err)
	}
	err = e.print(h, func(out *printer) {
		switch {
		case !h.Ready:
			out.printf("not ready: %s\n", strings.Join(h.Reasons, "; "))
		case c.Live:
			out.printf("live\n")
		default:
			out.printf("ready\n")
		}
	})
	if err == nil && !h.Ready {
		return errSilent
	}
	return err
}

func (c *healthCmd) ask(ctx context.Context, e *env) (h health, err error) {
	named, bounded := c.API != "", *e
	bounded.ctx = ctx
	at, err := c.address(&bounded)
	if err != nil {
		return h, err
	}
	path := "/readyz?format=json"
	if c.Live {
		path = "/livez"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(at, "/")+path, nil)
	if err != nil {
		return h, fmt.Errorf("--api: %w", withoutURL(err))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if !named {
		// The data folder says that this is the bridge. Its certificate need not be for a
		// loopback address, and nothing secret is sent.
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return h, fmt.Errorf("asking %s: %w", req.URL.Host, withoutURL(err))
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxHealth))
	if err != nil {
		return h, fmt.Errorf("reading the answer of %s: %w", req.URL.Host, err)
	}
	if c.Live {
		h = health{Ready: res.StatusCode == http.StatusOK && string(text) == "ok\n", Reasons: []string{}}
	} else if json.Unmarshal(text, &h) != nil || h.Ready != (res.StatusCode == http.StatusOK) || h.Ready == (len(h.Reasons) > 0) {
		h = health{}
	}
	if !h.Ready && len(h.Reasons) == 0 {
		return h, fmt.Errorf("%s answered %s%s, and not as a bridge does: is this the admin.listen of one?", req.URL.Host, res.Status, problemDetail(text))
	}
	return h, nil
}
