package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/bridge"
)

// Trial is what a connection of its own has shown of an external NATS.
type Trial struct {
	// Tried are the subjects that were tried, and Denied those that NATS does not allow.
	Tried, Denied []string
	// TLS: the connection is encrypted. Local: the server is on this machine.
	TLS, Local bool
	// Servers is how many servers the cluster tells of, 0 for one that stands alone.
	Servers int
	// Sync is nil when the server does not tell.
	Sync *SyncPolicy
}

// SyncPolicy is when a server syncs what it has acknowledged.
type SyncPolicy struct {
	Always   bool          `json:"sync_always"`
	Interval time.Duration `json:"sync_interval"`
}

// trialName is the name of what a trial asks for, which is never there.
const trialName = "hookspan-doctor"

// trials are messages by which a right shows and nothing is changed, by subject. Streams refuse
// what is meant for another one, the API refuses what is no JSON, and nobody listens to the rest.
// Rights to purge and to delete cannot be tried in that way.
func trials(n bridge.Names, provisions bool) []string {
	events := n.EventsStream()
	list := []string{
		n.AllEvents(), n.AllAgain(trialName), n.DeadSubjects()[0], n.QuarantineSubjects()[0], n.UnconfirmedSubjects()[0], n.RefusedSubjects()[0], n.AlarmsSubjects()[0], n.LaterSubjects()[0],
		n.AttemptsSubject(trialName), n.PollsSubject(trialName), n.ErasedSubject(trialName),
		"$JS.API.STREAM.INFO." + events, "$JS.API.DIRECT.GET." + events, "$JS.API.CONSUMER.INFO." + events + "." + trialName,
		"$JS.API.CONSUMER.MSG.NEXT." + events + "." + trialName, "$JS.ACK." + events + "." + trialName + ".1.1.1.1.0",
	}
	if provisions {
		list = append(list, "$JS.API.STREAM.CREATE."+events, "$JS.API.STREAM.UPDATE."+events, "$JS.API.CONSUMER.CREATE."+events+"."+trialName)
	}
	for i, subject := range list {
		list[i] = strings.NewReplacer("*", trialName, ">", trialName).Replace(subject)
	}
	return list
}

// listened are the subjects that a bridge subscribes to beside its inbox.
func listened(n bridge.Names) []string {
	return []string{inboxPrefix + ".>", n.WatchRequests("*"), n.AttemptsTold("*")}
}

// Try connects to an external NATS as a bridge does, and tries what it may do there. Provisions:
// the bridge makes its streams. The error is of the connection.
func Try(ctx context.Context, cfg ExternalConfig, names bridge.Names, provisions bool) (*Trial, error) {
	var mu sync.Mutex
	var said []string
	closed := make(chan struct{})
	nc, err := connectOnce(cfg, trialName,
		nats.MaxReconnects(0), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				mu.Lock()
				defer mu.Unlock()
				said = append(said, strings.ToLower(err.Error()))
			}
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	t := &Trial{Tried: trials(names, provisions), Sync: syncPolicy(ctx, nc)}
	_, err = nc.TLSConnectionState()
	t.TLS = err == nil
	host, _, _ := strings.Cut(nc.ConnectedAddr(), ":")
	t.Local = host == "127.0.0.1" || host == "localhost" || strings.HasPrefix(nc.ConnectedAddr(), "[::1]")
	if nc.ConnectedClusterName() != "" {
		t.Servers = len(nc.Servers())
	}
	for _, subject := range t.Tried {
		m := nats.NewMsg(subject)
		m.Header.Set("Nats-Expected-Stream", trialName)
		if err := nc.PublishMsg(m); err != nil {
			return nil, fmt.Errorf("trying the rights in NATS: %w", err)
		}
	}
	for _, subject := range listened(names) {
		sub, err := nc.Subscribe(subject, func(*nats.Msg) {})
		if err == nil {
			err = sub.Unsubscribe()
		}
		if err != nil {
			return nil, fmt.Errorf("trying the rights in NATS: %w", err)
		}
		t.Tried = append(t.Tried, subject)
	}
	if err := nc.FlushWithContext(ctx); err != nil {
		return nil, fmt.Errorf("trying the rights in NATS: %w", err)
	}
	nc.Close()
	select { // what was refused is told before the end
	case <-closed:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	mu.Lock()
	defer mu.Unlock()
	for _, subject := range t.Tried {
		if slices.ContainsFunc(said, func(text string) bool { return strings.Contains(text, `"`+strings.ToLower(subject)+`"`) }) {
			t.Denied = append(t.Denied, subject)
		}
	}
	return t, nil
}

// syncWait is how long the server may take to tell; most accounts may not ask.
const syncWait = 2 * time.Second

func syncPolicy(ctx context.Context, nc *nats.Conn) *SyncPolicy {
	ctx, cancel := context.WithTimeout(ctx, syncWait)
	defer cancel()
	answer, err := nc.RequestWithContext(ctx, "$SYS.REQ.SERVER.PING.JSZ", nil)
	if err != nil {
		return nil
	}
	var told struct {
		Data *struct {
			Config *SyncPolicy `json:"config"`
		} `json:"data"`
	}
	if json.Unmarshal(answer.Data, &told) != nil || told.Data == nil || told.Data.Config == nil {
		return nil
	}
	if p := told.Data.Config; p.Always || p.Interval > 0 {
		return p
	}
	return nil
}
