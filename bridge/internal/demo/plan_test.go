package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge/internal/source"
)

const testSecret = "a secret"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testPlan(t *testing.T) *plan {
	t.Helper()
	p, err := newPlan("http://127.0.0.1:1/outputs/", []byte(testSecret), time.Now())
	require.NoError(t, err)
	for i := range lost {
		id := fmt.Sprint("pred_lost_", i)
		body := bytes.Repeat([]byte{byte(i)}, 2000)
		p.predictions[id] = prediction{id: id, model: lostModel, lost: true, outputs: []output{{name: id + "-0.png", size: len(body), body: body}}}
	}
	return p
}

func TestWhatIsExpected(t *testing.T) {
	require.Equal(t, counts{
		answers:  answers{sent: 35, stored: 25, duplicate: 5, unauthorized: 4, quarantined: 1},
		withheld: withheldCounts{quarantined: 1, refused: 4, explained: 5},
		stream:   streamCounts{events: 28, completed: 22, failed: 6, intact: 25, polled: 3},
		disk:     diskCounts{manifests: 22, bodies: 19, outputs: 39, bytes: 11_538_932, checksums: 39, late: 1, lost: 3, gone: 1},
		lost:     lostCounts{announced: 3, webhooks: 3, askedOnce: 3},
	}, testPlan(t).want())
}

// What is sent must mean what it is sent for: otherwise the counts would be
// right for the wrong reason.
func TestDeliveriesAreWhatTheyAreMeantToBe(t *testing.T) {
	src, err := source.New(source.Config{Name: sourceName, Kind: sourceName, Secrets: [][]byte{[]byte(testSecret)}})
	require.NoError(t, err)
	p := testPlan(t)
	var got answers
	otherBytes := 0
	seen := map[string][]byte{} // the first body of each event
	for _, job := range p.jobs {
		for _, d := range job {
			proof := map[string][]string(d.header)
			event, err := src.Accept(source.Delivery{Proof: proof, Body: d.body, ReceivedAt: time.Now()})
			if errors.Is(err, source.ErrNotAuthentic) {
				got.add(http.StatusUnauthorized, "")
				continue
			}
			if unusable, ok := errors.AsType[*source.UnusableError](err); ok {
				require.Equal(t, source.CauseNoID, unusable.Cause)
				got.add(http.StatusOK, "quarantined")
				continue
			}
			require.NoError(t, err)
			first, again := seen[event.ID]
			if !again {
				seen[event.ID] = d.body
				require.Equal(t, p.bodies[event.PredictionID], d.body)
				got.add(http.StatusOK, "stored")
				continue
			}
			got.add(http.StatusOK, "duplicate")
			if string(first) != string(d.body) {
				otherBytes++
			}
		}
	}
	require.Equal(t, p.want().answers, got)
	require.Equal(t, 2, otherBytes)
}

func TestProvider(t *testing.T) {
	s, err := newProvider(testSecret, "a key")
	require.NoError(t, err)
	t.Cleanup(s.api.Close)
	s.serve(testPlan(t))
	handler := s.handler()
	get := func(name string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/files/"+name+"?sig=a", nil))
		return w
	}
	fates := map[fate]int{}
	for _, pred := range testPlan(t).predictions {
		for _, o := range pred.outputs {
			fates[o.fate]++
			require.GreaterOrEqual(t, o.size, 1<<10)
			require.Less(t, o.size, 2<<20+64)
			require.False(t, s.wasLate(o.name))
			if o.fate == gone {
				require.Equal(t, http.StatusGone, get(o.name).Code)
				continue
			}
			if o.fate == late {
				require.Equal(t, http.StatusServiceUnavailable, get(o.name).Code)
				require.True(t, s.wasLate(o.name))
			}
			w := get(o.name)
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, contentType(o.name), w.Header().Get("Content-Type"))
			require.Equal(t, o.content(), w.Body.Bytes())
			require.Len(t, w.Body.Bytes(), o.size)
		}
	}
	require.Equal(t, map[fate]int{kept: 38, late: 1, gone: 1}, fates)
	require.Equal(t, http.StatusNotFound, get("other.png").Code)
}
