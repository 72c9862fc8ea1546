package submit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

func TestRepeatIsReplayed(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, created))
	first := r.submitted(t, submission("k"))
	require.False(t, first.Replayed)
	for _, s := range []*Submitter{r.Submitter, r.process(t, nil)} {
		again, err := s.Submit(context.Background(), submission("k"), nil)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		again.Replayed = false
		require.Equal(t, first, again)
	}
	require.EqualValues(t, 1, r.posts.Load())
	require.Len(t, r.watches(t), 1)
	require.InDelta(t, 1, r.count(resultReplayed), 0)

	other := submission("k")
	other.Body = []byte(`{"prompt":"a dog"}`)
	require.Equal(t, http.StatusUnprocessableEntity, fails(t, r.Submitter, other).Status)
	other = submission("k")
	other.Model = "get3w/other"
	require.Equal(t, http.StatusUnprocessableEntity, fails(t, r.Submitter, other).Status)
	require.EqualValues(t, 1, r.posts.Load())
	r.submitted(t, submission("another key"))
	require.EqualValues(t, 2, r.posts.Load())

	stream, err := r.JS.Stream(context.Background(), r.Names.PollsStream())
	require.NoError(t, err)
	m, err := stream.GetLastMsgForSubject(context.Background(), r.Names.PollsSubject(recordKey("get3w", "k")))
	require.NoError(t, err)
	require.Equal(t, "24h0m0s", m.Header.Get(jetstream.MsgTTLHeader))
}

// Many submissions at once with one key make one prediction, in one process and in two.
func TestManyAtOnceAreOne(t *testing.T) {
	t.Parallel()
	sent, release := make(chan struct{}), make(chan struct{})
	r := setup(t, func(w http.ResponseWriter, req *http.Request) {
		close(sent) // a second time would panic
		<-release
		says(200, created)(w, req)
	})
	type answer struct {
		done *bridge.Submitted
		err  error
	}
	answers := make(chan answer, 20)
	ask := func(s *Submitter, n int) {
		for range n {
			go func() {
				done, err := s.Submit(context.Background(), submission("k"), nil)
				answers <- answer{done, err}
			}()
		}
	}
	ask(r.Submitter, 10)
	<-sent
	other := r.process(t, nil)
	failed := fails(t, other, submission("k"))
	require.Equal(t, http.StatusConflict, failed.Status)
	require.NotZero(t, failed.RetryAfter)
	changed := submission("k")
	changed.Body = []byte(`{}`)
	require.Equal(t, http.StatusUnprocessableEntity, fails(t, r.Submitter, changed).Status)
	close(release)
	replayed := 0
	for range 10 {
		a := <-answers
		require.NoError(t, a.err)
		require.Equal(t, "pred_1", a.done.ID)
		if a.done.Replayed {
			replayed++
		}
	}
	require.Equal(t, 9, replayed)
	ask(other, 10)
	for range 10 {
		require.True(t, (<-answers).done.Replayed)
	}
	require.EqualValues(t, 1, r.posts.Load())
	require.Len(t, r.watches(t), 1)
}

// Waiters for the same submission get the same refusal.
func TestManyAtOnceAreRefusedOnce(t *testing.T) {
	t.Parallel()
	r := setup(t, says(400, `{"message":"no"}`))
	o, err := r.prepare(submission("k"), time.Now())
	require.NoError(t, err)
	f, own := r.flights.join(recordKey("get3w", "k"), o.digest)
	require.True(t, own)
	answered := make(chan error, 1)
	go func() {
		_, err := r.Submit(context.Background(), submission("k"), nil)
		answered <- err
	}()
	refused := refuse(http.StatusBadRequest, "no")
	f.land(nil, refused)
	require.Equal(t, error(refused), <-answered)
	require.Zero(t, r.posts.Load())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = follow(ctx, &flight{digest: o.digest}, o)
	require.ErrorContains(t, err, "still being submitted")
}

// A process that died during a submission leaves a record that says only that it began.
func TestProcessThatDied(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, created))
	o, err := r.prepare(submission("k"), time.Now())
	require.NoError(t, err)
	for name, c := range map[string]struct {
		ago   time.Duration
		again bool
	}{"a moment ago": {time.Second, true}, "long ago": {3 * time.Minute, false}} {
		r.writes(t, name, fmt.Sprintf(`{"state":"started","digest":%q,"at":%q,"claim":"x"}`, o.digest, time.Now().Add(-c.ago).Format(time.RFC3339Nano)))
		failed := fails(t, r.Submitter, submission(name))
		require.Equal(t, http.StatusConflict, failed.Status)
		require.Equal(t, c.again, failed.RetryAfter > 0, name)
	}
	require.Zero(t, r.posts.Load())
}

// failingBucket fails before or after it has stored.
type failingBucket struct {
	JetStream

	store bool
}

var errAway = errors.New("no answer")

func (f failingBucket) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if f.store {
		if _, err := f.JetStream.PublishMsg(ctx, m, opts...); err != nil {
			return nil, err
		}
	}
	return nil, errAway
}

func TestKeyCannotBeWrittenDown(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, created))
	s := r.process(t, func(c *Config) { c.JetStream = failingBucket{c.JetStream, false} })
	failed := fails(t, s, submission("k"))
	require.Equal(t, http.StatusServiceUnavailable, failed.Status)
	require.ErrorIs(t, failed, errAway)
	require.Zero(t, r.posts.Load())

	s = r.process(t, func(c *Config) { c.JetStream = failingBucket{c.JetStream, true} })
	done, err := s.Submit(context.Background(), submission("k"), nil)
	require.NoError(t, err, "it was written down, only the answer did not come")
	require.Equal(t, "pred_1", done.ID)
	require.True(t, r.submitted(t, submission("k")).Replayed)
}

// lateBucket is away until it is told to store the writes that it failed.
type lateBucket struct {
	JetStream

	away  bool
	store []func()
}

func (l *lateBucket) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if !l.away {
		return l.JetStream.PublishMsg(ctx, m, opts...)
	}
	l.store = append(l.store, func() { _, _ = l.JetStream.PublishMsg(context.WithoutCancel(ctx), m, opts...) })
	return nil, errAway
}

func (l *lateBucket) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if l.away {
		return nil, errAway
	}
	return l.JetStream.Stream(ctx, name)
}

// A claim that was written too late stands for nothing that was sent.
func TestKeyIsWrittenDownTooLate(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, created))
	late := &lateBucket{JetStream: r.JS, away: true}
	s := r.process(t, func(c *Config) { c.JetStream = late })
	for range 2 {
		require.Contains(t, fails(t, s, submission("k")).Detail, "nothing was sent: try again")
	}
	require.Zero(t, r.posts.Load())
	late.away = false
	for _, store := range late.store {
		store()
	}
	require.Equal(t, http.StatusConflict, fails(t, r.Submitter, submission("k")).Status, "another process cannot know")
	for _, replayed := range []bool{false, true} {
		done, err := s.Submit(context.Background(), submission("k"), nil)
		require.NoError(t, err)
		require.Equal(t, replayed, done.Replayed)
	}
	require.EqualValues(t, 1, r.posts.Load())
	require.Len(t, s.unsent.set, 1, "of two late ones the first was stored")
}

// The record of a refused submission may outlive the refusal.
func TestKeyOfARefusalStays(t *testing.T) {
	t.Parallel()
	r := setup(t, nil)
	late := &lateBucket{JetStream: r.JS}
	s := r.process(t, func(c *Config) { c.JetStream = late })
	r.answers(func(w http.ResponseWriter, req *http.Request) {
		late.away = true
		says(429, "")(w, req)
	})
	require.Equal(t, http.StatusTooManyRequests, fails(t, s, submission("k")).Status)
	late.away = false
	r.answers(says(200, created))
	done, err := s.Submit(context.Background(), submission("k"), nil)
	require.NoError(t, err)
	require.False(t, done.Replayed)
	require.True(t, r.submitted(t, submission("k")).Replayed)
	require.EqualValues(t, 2, r.posts.Load())
}

func TestUnsentIsBounded(t *testing.T) {
	t.Parallel()
	var c claims
	for i := range 3 * maxUnsent {
		c.add(fmt.Sprint(i))
		require.True(t, c.has(fmt.Sprint(i)))
		require.LessOrEqual(t, len(c.set), maxUnsent)
	}
}

func TestLargeAnswerIsNotKept(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, `{"data":{"id":"a","status":"created","x":"`+strings.Repeat("x", maxRecordedAnswer)+`"}}`))
	require.NotEmpty(t, r.submitted(t, submission("k")).Answer)
	again := r.submitted(t, submission("k"))
	require.True(t, again.Replayed)
	require.Equal(t, "a", again.ID)
	require.Empty(t, again.Answer)
}

func TestRecordOfAnotherVersion(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, created))
	o, err := r.prepare(submission("k"), time.Now())
	require.NoError(t, err)
	for i, value := range []string{`{"state":"later","digest":"` + o.digest + `"}`, `{"state":"done","digest":"` + o.digest + `"}`, `{}`, `no JSON`} {
		key := fmt.Sprint(i)
		r.writes(t, key, value)
		status := fails(t, r.Submitter, submission(key)).Status
		require.GreaterOrEqual(t, status, 400)
	}
	require.Zero(t, r.posts.Load())
	var rec record
	require.NoError(t, json.Unmarshal([]byte(`{"state":"done","new":1}`), &rec))
}
