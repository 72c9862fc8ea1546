package submit

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func events(text ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, part := range text {
			_, _ = w.Write([]byte(part))
			_ = http.NewResponseController(w).Flush()
		}
	}
}

func streamed(key string) adminapi.Submission {
	sub := submission(key)
	sub.Body = []byte(`{"stream":true}`)
	return sub
}

func TestStream(t *testing.T) {
	t.Parallel()
	r := setup(t, events(
		": hello\r\n\r\n", "data: {\"status\":\"processing\",\"progress\":0.1}\n\n", "data: {\"data\":{\"id\":\"pred_1\",\"status\":\"processing\",", "\"progress\":0.5}}\r\n", "\r\n",
		"event: end\ndata: {\"id\":\"pred_1\",\"status\":\"completed\",\"hook\":\""+pathToken+"\"}\n\n",
	))
	told, err := r.NC.SubscribeSync(r.Names.Progress("get3w", "pred_1"))
	require.NoError(t, err)
	require.NoError(t, r.NC.Flush())
	var got []string
	var recorded []int
	done, err := r.Submit(context.Background(), streamed("k"), func(event []byte) error {
		got = append(got, string(event))
		recorded = append(recorded, len(r.watches(t)))
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, &bridge.Submitted{Source: "get3w", ID: "pred_1", Model: "get3w/flux-dev", Status: "processing"}, done)
	require.Equal(t, []string{
		": hello\n\n", "data: {\"status\":\"processing\",\"progress\":0.1}\n\n", "data: {\"data\":{\"id\":\"pred_1\",\"status\":\"processing\",\"progress\":0.5}}\n\n",
		"event: end\ndata: {\"id\":\"pred_1\",\"status\":\"completed\",\"hook\":\"[censored]\"}\n\n",
	}, got)
	require.Equal(t, []int{0, 0, 1, 1}, recorded, "it is recorded before its id is told")
	for _, want := range []string{`"status":"processing","progress":0.5`, `"status":"completed","progress":0.5`} {
		m, err := told.NextMsg(patience)
		require.NoError(t, err)
		require.Contains(t, string(m.Data), want)
	}
	again := r.submitted(t, streamed("k"))
	require.True(t, again.Replayed)
	require.Equal(t, "pred_1", again.ID)
	require.EqualValues(t, 1, r.posts.Load())
	require.InDelta(t, 1, r.count(resultAccepted), 0)
}

// A client that leaves, or that is slow to leave, costs no prediction.
func TestClientOfAStreamGoes(t *testing.T) {
	t.Parallel()
	r := setup(t, events("data: {\"status\":\"processing\"}\n\n", "data: {\"id\":\"pred_1\"}\n\n"))
	calls := 0
	done, err := r.Submit(context.Background(), streamed(""), func([]byte) error { calls++; return errors.New("gone") })
	require.NoError(t, err)
	require.Equal(t, "pred_1", done.ID)
	require.Equal(t, 1, calls)
	require.Len(t, r.watches(t), 1)
}

// The same submission during its stream is answered with the id at once.
func TestRepeatWhileItStreams(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	r := setup(t, func(w http.ResponseWriter, req *http.Request) {
		events("data: {\"id\":\"pred_1\"}\n\n")(w, req)
		<-release
	})
	seen := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		_, err := r.Submit(context.Background(), streamed("k"), func([]byte) error { close(seen); return nil })
		ended <- err
	}()
	<-seen
	for _, s := range []*Submitter{r.Submitter, r.process(t, nil)} {
		done, err := s.Submit(context.Background(), streamed("k"), nil)
		require.NoError(t, err)
		require.True(t, done.Replayed)
	}
	close(release)
	require.NoError(t, <-ended)
}

// A stream that the client did not request is read until the prediction has a name, and no
// longer.
func TestStreamThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	r := setup(t, func(w http.ResponseWriter, req *http.Request) {
		events("data: {\"status\":\"processing\"}\n\n", "data: {\"id\":\"pred_1\"}\n\n")(w, req)
		<-req.Context().Done()
	})
	relayed := 0
	done, err := r.Submit(context.Background(), submission("k"), func([]byte) error { relayed++; return nil })
	require.NoError(t, err)
	require.Zero(t, relayed)
	require.Equal(t, "pred_1", done.ID)
	require.Len(t, r.watches(t), 1)
	require.True(t, r.submitted(t, submission("k")).Replayed)
}

// A stream that names no prediction holds up neither a client that did not request it nor
// the end of the process.
func TestStreamThatNamesNothing(t *testing.T) {
	t.Parallel()
	r := setup(t, func(w http.ResponseWriter, req *http.Request) {
		events("data: {\"status\":\"processing\"}\n\n")(w, req)
		<-req.Context().Done()
	})
	require.True(t, fails(t, r.Submitter, submission("k")).Unknown)
	seen := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		_, err := r.Submit(context.Background(), streamed(""), func([]byte) error { close(seen); return nil })
		ended <- err
	}()
	<-seen
	r.Close()
	require.ErrorContains(t, <-ended, "not known")
}

func TestStreamThatBreaks(t *testing.T) {
	t.Parallel()
	r := setup(t, func(w http.ResponseWriter, req *http.Request) {
		events("data: {\"id\":\"pred/1\"}\n\n", "data: {\"half")(w, req)
		panic(http.ErrAbortHandler)
	})
	var got strings.Builder
	done, err := r.Submit(context.Background(), streamed("k"), func(e []byte) error { got.Write(e); return nil })
	var failed *adminapi.SubmitError
	require.ErrorAs(t, err, &failed)
	require.False(t, failed.Unknown)
	require.Contains(t, failed.Detail, "predictions/get3w/pred%2F1")
	require.Equal(t, "pred/1", done.ID)
	require.Equal(t, "data: {\"id\":\"pred/1\"}\n\n", got.String(), "what was cut off is not relayed")
	require.True(t, r.submitted(t, streamed("k")).Replayed)
	require.InDelta(t, 1, r.count(resultAccepted), 0)

	for name, text := range map[string]string{"it names no prediction": "data: {\"status\":\"completed\"}\n\n", "a line without end": strings.Repeat("x", maxLine+1), "nothing": ""} {
		r.answers(events(text))
		failed := fails(t, r.Submitter, streamed(name))
		require.True(t, failed.Unknown, name)
		require.Equal(t, http.StatusConflict, fails(t, r.Submitter, streamed(name)).Status, name)
	}
}

func TestStreamThatIsNotRecorded(t *testing.T) {
	t.Parallel()
	r := setup(t, events("data: {\"id\":\"pred_1\"}\n\n"))
	r.publishes(func(*bridge.Event) error { return bridge.ErrFull })
	relayed := 0
	_, err := r.Submit(context.Background(), streamed(""), func([]byte) error { relayed++; return nil })
	require.ErrorContains(t, err, "submitted as pred_1")
	require.Zero(t, relayed)
}

// A process that ends does not wait for streams whose prediction is recorded.
func TestStreamEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	r := setup(t, func(w http.ResponseWriter, req *http.Request) {
		events("data: {\"id\":\"pred_1\"}\n\n")(w, req)
		<-req.Context().Done()
	})
	seen := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		_, err := r.Submit(context.Background(), streamed(""), func([]byte) error { close(seen); return nil })
		ended <- err
	}()
	<-seen
	r.Close()
	require.ErrorContains(t, <-ended, "shutting down")
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	r := setup(t, events("data: {\"id\":\"pred_1\"}\n\n"))
	require.True(t, r.streams.TryAcquire(maxStreams))
	require.Equal(t, http.StatusServiceUnavailable, fails(t, r.Submitter, streamed("k")).Status)
	require.Zero(t, r.posts.Load())
	r.streams.Release(maxStreams)
	require.False(t, r.submitted(t, streamed("k")).Replayed)
	require.True(t, r.streams.TryAcquire(maxStreams), "it was given back")
}

func TestSSEReader(t *testing.T) {
	t.Parallel()
	in := newSSEReader(strings.NewReader("\xef\xbb\xbfdata:a\ndata\ndata:  b\r\rid: 1\n\n\n\r\n: c\r\n\r\ndata: end"))
	for _, want := range []sseEvent{
		{[]byte("data:a\ndata\ndata:  b\n\n"), []byte("a\n\n b")}, {[]byte("id: 1\n\n"), nil}, {[]byte(": c\n\n"), nil}, {[]byte("data: end\n\n"), []byte("end")},
	} {
		got, err := in.next()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := in.next()
	require.ErrorIs(t, err, io.EOF)
	in = newSSEReader(io.MultiReader(strings.NewReader("data: a\n"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	_, err = in.next()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	line := "data: " + strings.Repeat("x", 1<<19) + "\n"
	_, err = newSSEReader(strings.NewReader(strings.Repeat(line, 9))).next()
	require.ErrorIs(t, err, errTooLong)
}

// However it is cut, a stream has the same events, and the relayed bytes give them again.
func FuzzSSEReader(f *testing.F) {
	for _, s := range []string{"data: a\n\ndata: b\r\n\r\n", "\r\r\n\n\rdata:\rdata: x\r\n\rend", "\xef\xbb\xbfdata: a\n\n", ":\n\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		whole, relayed := readAll(t, strings.NewReader(text))
		cut, _ := readAll(t, iotest.OneByteReader(strings.NewReader(text)))
		again, _ := readAll(t, strings.NewReader(relayed))
		if strings.HasPrefix(relayed, "\xef\xbb\xbf") {
			again = whole // two marks: the second one is text once, and a mark once
		}
		if strings.Join(whole, "|") != strings.Join(cut, "|") || strings.Join(whole, "|") != strings.Join(again, "|") {
			t.Fatalf("%q, %q, %q", whole, cut, again)
		}
		if strings.Contains(relayed, "\r") || relayed != "" && !strings.HasSuffix(relayed, "\n\n") {
			t.Fatalf("%q", relayed)
		}
	})
}

func readAll(t *testing.T, in io.Reader) (data []string, relayed string) {
	r := newSSEReader(in)
	for {
		e, err := r.next()
		if errors.Is(err, io.EOF) {
			return data, relayed
		}
		if err != nil {
			t.Fatal(err)
		}
		data, relayed = append(data, string(e.data)), relayed+string(e.raw)
	}
}
