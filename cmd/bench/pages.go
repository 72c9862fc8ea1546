package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

const (
	// inPages is how long a page of the console may take, in ms, until its last byte.
	inPages = 100
	// pageTries is how often each page is asked for.
	pageTries = 100
	// refreshEvery is how often a page of the console asks for itself, as app.js has it.
	refreshEvery = 3 * time.Second
)

// consolePages are the pages of the console, on the folder of [fillView].
var consolePages = []string{
	"/",
	"/predictions",
	"/predictions?view=grid",
	"/predictions?q=status:failed",
	"/predictions?q=pred_0a",
	"/predictions?q=model:*-6+since:2h",
	"/predictions?q=consumer:c3%3Ddead+status:completed",
	"/predictions?q=missing",
	"/predictions?q=expires%3C24h",
	"/predictions/get3w/" + shownPrediction,
	"/dead",
	"/dead?consumer=c3",
	"/dead/letters",
	"/dead/letters?consumer=c3&cause=refused",
	"/dead/1",
	"/quarantine",
	"/consumers",
	"/consumers/c0",
	"/models",
	"/live",
	"/jobs",
	"/system",
	"/system/doctor/findings",
	"/system/config",
	"/system/alarms",
	"/system/audit",
}

// openPage asks for a page of the console, and returns how long that took until its last byte.
func openPage(ctx context.Context, client *http.Client, address string) (time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	took := time.Since(began)
	if err = errors.Join(err, response.Body.Close()); err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the page %s was answered %s", address, response.Status)
	}
	return took, err
}

// startPages are start pages of the console that are open and ask for themselves.
type startPages struct {
	client http.Client
	group  errgroup.Group
	cancel context.CancelFunc
}

// openStartPages opens n pages, one after the other within the time in which each asks for itself.
func openStartPages(r *rig.Rig, bridge *rig.Bridge, n int) *startPages {
	ctx, cancel := context.WithCancel(r.Context())
	all := &startPages{client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}, cancel: cancel}
	for i := range n {
		all.group.Go(func() error {
			for wait := refreshEvery * time.Duration(i) / time.Duration(n); rig.Pause(ctx, wait) == nil; wait = refreshEvery {
				if _, err := openPage(ctx, &all.client, bridge.Admin+"/"); err != nil && ctx.Err() == nil {
					return err
				}
			}
			return nil
		})
	}
	return all
}

func (s *startPages) close() error {
	s.cancel()
	err := s.group.Wait()
	s.client.CloseIdleConnections()
	return err
}
