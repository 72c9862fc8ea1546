package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/streams"
)

// Target is where streams are restored.
type Target struct {
	js   jetstream.JetStream
	cfg  streams.Config
	made []string // streams
	mark string   // of the streams that are made, "" for none
	tell func(stream string)
}

// NewTarget returns a target. Of cfg, the names and the number of replicas count; the streams
// get all else when a bridge starts with them. tell is called after each stream.
func NewTarget(js jetstream.JetStream, cfg streams.Config, tell func(stream string)) *Target {
	return &Target{js: js, cfg: cfg, tell: tell}
}

const checkTime = 15 * time.Second

// Check returns an error unless the target can take a backup: it has JetStream and none of the
// streams, its server knows NATS' snapshots of today, and its limits leave room. It changes
// nothing.
func (t *Target) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	info, err := t.js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return errors.New("NATS has no JetStream: start nats-server with --jetstream, or enable it for this account")
	case err != nil:
		return fmt.Errorf("asking NATS for its limits: %w", err)
	}
	if err := checkServer(t.js); err != nil {
		return err
	}
	var there []string
	for _, want := range t.cfg.All() {
		_, err := t.js.Stream(ctx, want.Name)
		if err == nil {
			there = append(there, want.Name)
		} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("looking for stream %s: %w", want.Name, err)
		}
	}
	if len(there) > 0 {
		return fmt.Errorf("it has %s already, and nothing is overwritten: name a NATS without them, or another nats.prefix, or remove them first if nobody needs what they hold", strings.Join(there, ", "))
	}
	need, replicas := t.cfg.StoreBytes(), int64(max(1, t.cfg.Replicas))
	if most := info.Limits.MaxStore; most >= 0 && need*replicas > most-int64(info.Store) {
		return fmt.Errorf("the streams may take %d bytes there, and the account may store %d more: raise its limit, or make nats.events.max_bytes smaller", need*replicas, most-int64(info.Store))
	}
	return nil
}

// ErrServer is wrapped by the error of a server that makes snapshots of another kind.
var ErrServer = errors.New("snapshots need nats-server 2.15 or newer")

// checkServer returns an [ErrServer] unless snapshots are those that this package knows.
func checkServer(js jetstream.JetStream) error {
	var major, minor int
	version := js.Conn().ConnectedServerVersion()
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n == 2 && (major > 2 || major == 2 && minor >= 15) {
		return nil
	}
	return fmt.Errorf("%w, and NATS has %.20s: upgrade it, or let nats stream backup and nats stream restore copy the streams", ErrServer, version)
}

// Restore makes the streams of a backup and returns when all of it is in NATS and was counted.
// After an error the caller calls [Target.Undo].
func (t *Target) Restore(ctx context.Context, b *Backup) error {
	// The events come last: with them everything is there that their consumers need.
	events := bridge.Names{Prefix: b.Prefix}.EventsStream()
	for _, last := range []bool{false, true} {
		for _, s := range b.Streams {
			if (s.Name == events) != last {
				continue
			}
			if err := t.fromFolder(ctx, b, s); err != nil {
				return err
			}
		}
	}
	return t.Verify(ctx, b.Streams)
}

func (t *Target) fromFolder(ctx context.Context, b *Backup, s Stream) error {
	config, err := b.text(streamsPrefix + s.Name + streamConfig)
	if err != nil {
		return err
	}
	main, err := b.Open(streamsPrefix + s.Name + streamArchive)
	if err != nil {
		return err
	}
	defer func() { _ = main.Close() }()
	if s.Tail == 0 {
		return t.Stream(ctx, s.Name, config, main)
	}
	tail, err := b.Open(streamsPrefix + s.Name + tailArchive)
	if err != nil {
		return err
	}
	defer func() { _ = tail.Close() }()
	out, in := io.Pipe()
	go func() {
		_, err := rewrite(in, main, edit{tail: tail, tailLast: s.Last})
		_ = in.CloseWithError(err) // never fails
	}()
	defer func() { _ = out.Close() }()
	return t.Stream(ctx, s.Name, config, out)
}

// Stream makes one stream of its configuration and its archive.
func (t *Target) Stream(ctx context.Context, name string, config []byte, data io.Reader) error {
	var file struct {
		Config server.StreamConfig `json:"config"`
		State  server.StreamState  `json:"state"`
	}
	if err := json.Unmarshal(config, &file); err != nil || file.Config.Name != name {
		return fmt.Errorf("the configuration of stream %s is that of %q: %w", name, file.Config.Name, err)
	}
	made, err := t.configOf(file.Config)
	if err != nil {
		return err
	}
	t.made = append(t.made, name)
	if err := restoreStream(ctx, t.js, made, file.State, data); err != nil {
		return err
	}
	if err := t.settled(ctx, name); err != nil {
		return err
	}
	t.tell(name)
	return nil
}

// configOf returns the configuration of a stream to be made. Its name and subjects are ours,
// whatever a file says, and nothing in it moves messages elsewhere.
func (t *Target) configOf(saved server.StreamConfig) (server.StreamConfig, error) {
	all := t.cfg.All()
	i := slices.IndexFunc(all, func(c jetstream.StreamConfig) bool { return c.Name == saved.Name })
	if i < 0 {
		return saved, fmt.Errorf("%q is no stream of nats.prefix %s", saved.Name, t.cfg.Names.Prefix)
	}
	saved.Subjects, saved.Storage = all[i].Subjects, server.FileStorage
	saved.Mirror, saved.Sources, saved.RePublish, saved.SubjectTransform, saved.Placement = nil, nil, nil, nil, nil
	if at := all[i].Placement; at != nil {
		saved.Placement = &server.Placement{Cluster: at.Cluster, Tags: at.Tags}
	}
	if t.mark != "" {
		saved.Metadata = maps.Clone(saved.Metadata)
		if saved.Metadata == nil {
			saved.Metadata = map[string]string{}
		}
		saved.Metadata[markKey] = t.mark
	}
	saved.Replicas = t.cfg.Replicas
	if saved.Replicas == 0 {
		saved.Replicas = 1
		if t.js.Conn().ConnectedClusterName() != "" {
			saved.Replicas = 3
		}
	}
	if saved.Replicas > 1 {
		saved.AllowAtomicPublish = false // several replicas share syncs without it
	}
	return saved, nil
}

// askTime bounds a question that is asked again. A stream or durable whose leader is not elected
// yet leaves one without an answer, and answers the next.
const askTime = 5 * time.Second

func (t *Target) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return t.js.Stream(ctx, name)
}

func position(ctx context.Context, stream jetstream.Stream, d Durable) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	c, err := stream.Consumer(ctx, d.Name)
	if err != nil {
		return err
	}
	if is := c.CachedInfo(); is.Delivered.Stream != d.Delivered || is.AckFloor.Stream != d.Acknowledged {
		return fmt.Errorf("it has delivered %d and acknowledged up to %d, and %d and %d were saved", is.Delivered.Stream, is.AckFloor.Stream, d.Delivered, d.Acknowledged)
	}
	return nil
}

// settled waits until every replica of a stream has all of it.
func (t *Target) settled(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, restoreTime)
	defer cancel()
	retry := backoff.Backoff{First: 20 * time.Millisecond, Max: time.Second}
	for {
		s, err := t.stream(ctx, name)
		if err == nil && current(s.CachedInfo()) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the replicas of %s did not get all of it within %v: %w", name, restoreTime, errors.Join(ctx.Err(), err))
		}
		backoff.Sleep(ctx, retry.Next())
	}
}

func current(info *jetstream.StreamInfo) bool {
	if info.Cluster == nil {
		return true
	}
	if info.Cluster.Leader == "" || len(info.Cluster.Replicas)+1 < info.Config.Replicas {
		return false
	}
	for _, r := range info.Cluster.Replicas {
		if !r.Current || r.Offline || r.Lag > 0 {
			return false
		}
	}
	return true
}

// verifyTime bounds how long the durables of a cluster may take to appear.
const verifyTime = time.Minute

// Verify compares the restored streams and durables with what was saved.
func (t *Target) Verify(ctx context.Context, saved []Stream) error {
	for _, s := range saved {
		if err := t.verify(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (t *Target) verify(ctx context.Context, s Stream) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	stream, err := t.stream(ctx, s.Name)
	if err != nil {
		return fmt.Errorf("looking at %s after its restore: %w", s.Name, err)
	}
	is := stream.CachedInfo().State
	if is.LastSeq != s.Last || is.Msgs > s.Messages || is.Msgs+s.MayExpire < s.Messages || is.Msgs == s.Messages && is.Msgs > 0 && is.FirstSeq != s.Oldest {
		return fmt.Errorf("%s has %d messages from %d to %d after its restore, and %d from %d to %d were saved", s.Name, is.Msgs, is.FirstSeq, is.LastSeq, s.Messages, s.Oldest, s.Last)
	}
	retry := backoff.Backoff{First: 20 * time.Millisecond, Max: time.Second}
	for _, d := range s.Durables {
		for {
			err := position(ctx, stream, d)
			if err == nil {
				break
			}
			if backoff.Sleep(ctx, retry.Next()); ctx.Err() != nil {
				return fmt.Errorf("durable %s of %s is not where it was: %w", d.Name, s.Name, err)
			}
		}
	}
	return nil
}

// Undo removes the streams that were made.
func (t *Target) Undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var errs []error
	for _, name := range t.made {
		if err := t.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			errs = append(errs, fmt.Errorf("stream %s was made and could not be removed, so remove it before the next try: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
