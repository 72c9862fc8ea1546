package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// submitter answers what a test says and remembers submissions.
type submitter struct {
	answer func(relay func([]byte) error) (*bridge.Submitted, error)

	mu   sync.Mutex
	seen []adminapi.Submission
}

func (s *submitter) Submit(_ context.Context, sub adminapi.Submission, relay func([]byte) error) (*bridge.Submitted, error) {
	s.mu.Lock()
	s.seen = append(s.seen, sub)
	s.mu.Unlock()
	return s.answer(relay)
}

func submitting(t *testing.T, answer func(relay func([]byte) error) (*bridge.Submitted, error)) (*admin.Server, *submitter) {
	t.Helper()
	s, sub := start(t, "127.0.0.1:0"), &submitter{answer: answer}
	s.SetAPI(func(api *echo.Group) { admin.RegisterSubmit(api, sub) })
	return s, sub
}

func accepted(func([]byte) error) (*bridge.Submitted, error) {
	return &bridge.Submitted{Source: "get3w", ID: "pred_1", Model: "m", Status: "created", Answer: []byte(`{"n":1.00}`)}, nil
}

var asJSON = map[string]string{"Content-Type": "application/json"}

func TestSubmitAPI(t *testing.T) {
	s, sub := submitting(t, accepted)
	a := do(t, s, http.MethodPost, "/api/v1/predictions/get3w/black-forest-labs/flux-1.1%20pro?reference=order%201&tenant=t&deadline=2030-01-02T03:04:05Z&meta.order=7&meta.x=%26",
		`{"n":12345678901234567890}`, map[string]string{"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": "k 1"})
	require.Equal(t, 200, a.status, a.body)
	require.JSONEq(t, `{"source":"get3w","id":"pred_1","model":"m","status":"created","replayed":false,"answer":{"n":1.00}}`, a.body)
	require.Equal(t, []adminapi.Submission{{
		Source: "get3w", Model: "black-forest-labs/flux-1.1 pro", Body: []byte(`{"n":12345678901234567890}`), Reference: "order 1", Tenant: "t",
		Metadata: map[string]string{"order": "7", "x": "&"}, Deadline: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), IdempotencyKey: "k 1",
	}}, sub.seen)
}

// A client made of the document takes the model for one segment.
func TestModelWithEncodedSlashes(t *testing.T) {
	s, sub := submitting(t, accepted)
	for _, path := range []string{"black-forest-labs%2Fflux-dev", "black-forest-labs%2fflux-dev", "black-forest-labs/flux-dev"} {
		require.Equal(t, 200, do(t, s, http.MethodPost, "/api/v1/predictions/get3w/"+path, "{}", asJSON).status, path)
	}
	for _, seen := range sub.seen {
		require.Equal(t, "black-forest-labs/flux-dev", seen.Model)
	}
}

func TestSubmitAPIRefuses(t *testing.T) {
	s, sub := submitting(t, accepted)
	for path, status := range map[string]int{
		"/get3w/m?x=1": 400, "/get3w/m?reference=a&reference=b": 400, "/get3w/m?deadline=soon": 400,
	} {
		a := do(t, s, http.MethodPost, "/api/v1/predictions"+path, "{}", asJSON)
		require.Equal(t, status, a.status, path)
		require.NotEmpty(t, a.detail(t), path)
	}
	a := do(t, s, http.MethodPost, "/api/v1/predictions/get3w/m", strings.Repeat(" ", 1<<20)+"{}", asJSON)
	require.Equal(t, 413, a.status)
	a = do(t, s, http.MethodPost, "/api/v1/predictions/get3w/m", "{}", map[string]string{"Content-Type": "application/json", "Idempotency-Key": ""})
	require.Equal(t, 400, a.status)
	a = do(t, s, http.MethodPost, "/api/v1/predictions/get3w/m", "{}", nil)
	require.Equal(t, 415, a.status)
	require.Empty(t, sub.seen)
}

// The provider's status and words are passed on.
func TestSubmitAPIPassesErrorsOn(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 409, 422, 429, 502, 503, 504} {
		s, _ := submitting(t, func(func([]byte) error) (*bridge.Submitted, error) {
			return nil, &adminapi.SubmitError{Status: status, Detail: "The provider says no.", RetryAfter: 1500 * time.Millisecond}
		})
		a := do(t, s, http.MethodPost, "/api/v1/predictions/get3w/m", "{}", asJSON)
		require.Equal(t, status, a.status)
		require.Equal(t, "The provider says no.", a.detail(t))
		require.Equal(t, "2", a.header.Get("Retry-After"))
	}
}

func posted(t *testing.T, s *admin.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.Write([]byte("POST /api/v1/predictions/get3w/m HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"))
	require.NoError(t, err)
	return conn
}

// Each event is sent as it comes.
func TestSubmitAPIStreams(t *testing.T) {
	next := make(chan error)
	s, _ := submitting(t, func(relay func([]byte) error) (*bridge.Submitted, error) {
		for {
			if err := relay([]byte("data: {}\n\n")); err != nil {
				return nil, err
			}
			if err := <-next; err != nil {
				return &bridge.Submitted{ID: "pred_1"}, err
			}
		}
	})
	res, err := http.Post("http://"+s.Addr().String()+"/api/v1/predictions/get3w/m", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	in := bufio.NewReader(res.Body)
	event := func() string {
		var text bytes.Buffer
		for !bytes.HasSuffix(text.Bytes(), []byte("\n\n")) {
			b, err := in.ReadByte()
			require.NoError(t, err)
			text.WriteByte(b)
		}
		return text.String()
	}
	for range 3 {
		require.Equal(t, "data: {}\n\n", event())
		next <- nil
	}
	require.Equal(t, "data: {}\n\n", event())
	next <- &adminapi.SubmitError{Status: 502, Detail: "cut \"off\""}
	require.Equal(t, "event: error\ndata: {\"detail\":\"cut \\\"off\\\"\"}\n\n", event())
	_, err = in.ReadByte()
	require.Error(t, err, "that was the end")
}

// deadlines is a connection that notes its deadlines.
type deadlines struct {
	*httptest.ResponseRecorder

	read  []time.Time
	write []time.Duration
}

func (d *deadlines) SetReadDeadline(at time.Time) error { d.read = append(d.read, at); return nil }
func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.write = append(d.write, time.Until(at).Round(time.Second))
	return nil
}

// The server's limits are for short requests: the provider has more time, and each event of
// a stream its own.
func TestSubmitAPIHasTime(t *testing.T) {
	e, w := echo.New(), &deadlines{ResponseRecorder: httptest.NewRecorder()}
	admin.RegisterSubmit(e.Group("/api/v1"), &submitter{answer: func(relay func([]byte) error) (*bridge.Submitted, error) {
		return &bridge.Submitted{}, errors.Join(relay([]byte(": a\n\n")), relay([]byte(": b\n\n")))
	}})
	e.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/predictions/get3w/m", strings.NewReader("{}")))
	require.Equal(t, ": a\n\n: b\n\n", w.Body.String())
	require.Equal(t, []time.Time{{}}, w.read)
	require.Len(t, w.write, 3)
	require.Greater(t, w.write[0], time.Minute)
	require.Greater(t, w.write[2], 10*time.Second)
}

// The submitter bounds the streams; they leave the rest of the API its room.
func TestStreamsLeaveTheAPIItsRoom(t *testing.T) {
	end := make(chan struct{})
	begun := make(chan struct{}, 100)
	s, _ := submitting(t, func(relay func([]byte) error) (*bridge.Submitted, error) {
		err := relay([]byte(": hello\n\n"))
		begun <- struct{}{}
		<-end
		return &bridge.Submitted{}, err
	})
	for range 64 {
		posted(t, s)
		<-begun
	}
	a := get(t, s, "/api/v1/nothing")
	require.Equal(t, 404, a.status, a.body)
	close(end)
}
