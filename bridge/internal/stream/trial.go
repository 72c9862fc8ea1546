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

	"github.com/hookspan/hookspan/bridge/internal/stream/rights"
)

// Trial is what a connection of its own has shown of an external NATS.
type Trial struct {
	// Tried are the subjects that were tried, and Missing those that NATS does not allow.
	Tried, Missing []string
	// TLS: the connection is encrypted. Local: the server is on this machine.
	TLS, Local bool
	// Servers is how many servers the cluster tells of, 0 for one that stands alone.
	Servers int
	// Unfit is an [Unable] when the server is too old, nil otherwise.
	Unfit error
	// Sync is nil when the server does not tell, or need does not have [rights.SyncPolicy].
	Sync *SyncPolicy
}

// SyncPolicy is when a server syncs what it has acknowledged.
type SyncPolicy struct {
	Always   bool          `json:"sync_always"`
	Interval time.Duration `json:"sync_interval"`
}

// trialName is the name of what a trial asks for, which is never there.
const trialName = "hookspan-doctor"

// trialBody is what a trial sends: an array, which no call of the API takes, so that NATS refuses it
// as it stands. A call to purge a stream takes anything else that is no JSON for "all of it".
var trialBody = []byte(`["` + trialName + `"]`)

// tried returns the subjects by which rights to publish show, and nothing is changed: streams
// refuse what is meant for another one, the API refuses the body, and nobody has heard of the
// consumer. What [Try] asks for anyway, and what no server of today uses, is left out.
func tried(need rights.Rights) (subjects []string) {
	for _, subject := range need.Publish {
		if strings.HasPrefix(subject, "$SYS.") || strings.HasPrefix(subject, "$JS.ACK.*.*.") {
			continue
		}
		subjects = append(subjects, strings.NewReplacer("*", trialName, ">", trialName).Replace(subject))
	}
	slices.Sort(subjects)
	return slices.Compact(subjects)
}

// Try connects to an external NATS as a bridge does, and tries what it may do there of what it
// needs. The error is of the connection.
func Try(ctx context.Context, cfg ExternalConfig, need rights.Rights) (*Trial, error) {
	need = need.InDomain(cfg.Domain)
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
		return nil, explainConnection(err)
	}
	defer nc.Close()
	t := &Trial{Tried: tried(need), Unfit: checkVersion(nc)}
	if slices.Contains(need.Publish, rights.SyncPolicy) {
		t.Sync = syncPolicy(ctx, nc)
	}
	_, err = nc.TLSConnectionState()
	t.TLS = err == nil
	host, _, _ := strings.Cut(nc.ConnectedAddr(), ":")
	t.Local = host == "127.0.0.1" || host == "localhost" || strings.HasPrefix(nc.ConnectedAddr(), "[::1]")
	if nc.ConnectedClusterName() != "" {
		t.Servers = len(nc.Servers())
	}
	for _, subject := range t.Tried {
		m := nats.NewMsg(subject)
		m.Data = trialBody
		m.Header.Set("Nats-Expected-Stream", trialName)
		if err := nc.PublishMsg(m); err != nil {
			return nil, fmt.Errorf("trying the rights in NATS: %w", err)
		}
	}
	for _, subject := range need.Subscribe {
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
		// A server of the domain itself names the subject without the domain.
		own := strings.Replace(subject, "$JS."+cfg.Domain+".API.", "$JS.API.", 1)
		if slices.ContainsFunc(said, func(text string) bool {
			return strings.Contains(text, `"`+strings.ToLower(subject)+`"`) || strings.Contains(text, `"`+strings.ToLower(own)+`"`)
		}) {
			t.Missing = append(t.Missing, subject)
		}
	}
	return t, nil
}

// syncWait is how long the server may take to tell; most accounts may not ask.
const syncWait = 2 * time.Second

func syncPolicy(ctx context.Context, nc *nats.Conn) *SyncPolicy {
	ctx, cancel := context.WithTimeout(ctx, syncWait)
	defer cancel()
	answer, err := nc.RequestWithContext(ctx, rights.SyncPolicy, nil)
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
