package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/sending"
	"github.com/hookspan/hookspan/internal/signing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testPlan(t *testing.T) *plan {
	t.Helper()
	p := newPlan("http://127.0.0.1:1/outputs/", time.Now())
	for i := range lost {
		id := fmt.Sprint("pred_lost_", i)
		body := bytes.Repeat([]byte{byte(i)}, 2000)
		p.predictions[id] = prediction{id: id, model: lostModel, lost: true, outputs: []output{{name: id + "-0.png", size: len(body), body: body}}}
	}
	return p
}

// only is what the counts say in one part of the table, and of one more.
func only(c counts, part int, more string) counts {
	out := counts{}
	for what, n := range c {
		if n != 0 && (what == more || slices.Contains(table[part].counts, what)) {
			out[what] = n
		}
	}
	return out
}

func TestWhatIsExpected(t *testing.T) {
	require.Equal(t, counts{
		sent: 35, stored: 25, duplicate: 5, unauthorized: 4, quarantined: 1,
		inQuarantine: 1, refused: 4, explained: 5,
		events: 28, completedEvents: 22, failedEvents: 6, intact: 25, polled: 3,
		manifests: 22, bodies: 19, outputs: 39, bytesKept: 11_538_932, checksums: 39, lateKept: 1, lostOutput: 3, goneNamed: 1,
		announced: 3, webhooks: 3, askedOnce: 3,
	}, testPlan(t).want())
}

// fact is what a body says that makes it another event, or an error when it says nothing.
func fact(body []byte) (string, error) {
	var w sending.Webhook
	if err := json.Unmarshal(body, &w); err != nil {
		return "", err
	}
	if w.ID == "" {
		return "", errors.New("no id")
	}
	for i, address := range w.Outputs {
		w.Outputs[i], _, _ = strings.Cut(address, "?")
	}
	told, err := json.Marshal([]any{w.Status, w.Outputs, w.Error})
	return bridge.NewEventID(w.ID, w.Status, told), err
}

// What is sent must mean what it is sent for: otherwise the counts would be
// right for the wrong reason.
func TestDeliveriesAreWhatTheyAreMeantToBe(t *testing.T) {
	p := testPlan(t)
	got := counts{}
	answer := func(status int, result string) {
		got.answered(sending.Answer{Status: status, Body: fmt.Appendf(nil, `{"result":%q}`, result)})
	}
	otherBytes := 0
	seen := map[string][]byte{} // the first body of each event
	for _, job := range p.jobs {
		for _, d := range job {
			if !signing.Verify(d.signature, d.body, []byte(rig.Secret)) {
				answer(http.StatusUnauthorized, "")
				continue
			}
			event, err := fact(d.body)
			first, again := seen[event]
			switch {
			case err != nil:
				require.ErrorContains(t, err, "no id")
				answer(http.StatusOK, "quarantined")
			case !again:
				seen[event] = d.body
				prediction, _, _ := strings.Cut(event, "/")
				require.Equal(t, p.bodies[prediction], d.body)
				answer(http.StatusOK, "stored")
			default:
				answer(http.StatusOK, "duplicate")
				if string(first) != string(d.body) {
					otherBytes++
				}
			}
		}
	}
	require.Equal(t, only(p.want(), 0, ""), got)
	require.Equal(t, 2, otherBytes)
}

func TestWhatWasKept(t *testing.T) {
	for text, want := range map[string]counts{
		`{"entries":[{"stream":"quarantine","cause":"no_id"},{"stream":"refused","cause":"no_signature"},` +
			`{"stream":"refused","cause":"wrong_length"},{"stream":"refused","cause":"wrong_signature"},{"stream":"refused","cause":"wrong_signature"}]}`: only(testPlan(t).want(), 1, ""),
		`{"entries":[{"stream":"refused","cause":"no_id"},{"stream":"refused","cause":"no_id"}]}`: {refused: 2, explained: 1},
	} {
		var list keptList
		require.NoError(t, json.Unmarshal([]byte(text), &list))
		got := counts{}
		got.kept(list)
		require.Equal(t, want, got)
	}
}

func TestProvider(t *testing.T) {
	s := newProvider()
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
			if o.fate == gone {
				require.Equal(t, http.StatusGone, get(o.name).Code)
				continue
			}
			if o.fate == late {
				require.Equal(t, http.StatusServiceUnavailable, get(o.name).Code)
			}
			w := get(o.name)
			require.Equal(t, http.StatusOK, w.Code)
			media := "image/png"
			if strings.HasSuffix(o.name, ".mp4") {
				media = "video/mp4"
			}
			require.Equal(t, media, w.Header().Get("Content-Type"))
			require.Equal(t, o.content(), w.Body.Bytes())
			require.Len(t, w.Body.Bytes(), o.size)
		}
	}
	require.Equal(t, map[fate]int{kept: 38, late: 1, gone: 1}, fates)
	require.Equal(t, http.StatusNotFound, get("other.png").Code)
}
