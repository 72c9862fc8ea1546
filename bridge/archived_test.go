package bridge

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestArchivedEvent(t *testing.T) {
	t.Parallel()
	want := &Archived{
		Prediction: "pred_1", Source: "get3w", Model: "get3w/flux-dev", Event: "pred_1/completed/00ff",
		ArchivedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Outputs:    []ArchivedOutput{{N: 0, URL: "s3://bucket/a/0.png", Bytes: 3, ContentType: "image/png", SHA256: "aa", SourceURL: "https://cdn/x.png"}},
		Missing:    []MissingOutput{{N: 1, SourceURL: "https://cdn/y.png", Error: "gone"}},
		Manifest:   "s3://bucket/a/manifest.json",
	}
	body, err := json.Marshal(want)
	require.NoError(t, err)
	e := testEvent()
	e.Type, e.Body = TypeArchived, body
	read, err := DecodeEvent(e.Header(), e.Body)
	require.NoError(t, err)
	require.Equal(t, KindArchived, read.Kind())
	got, err := read.Archived()
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = read.Prediction()
	require.ErrorIs(t, err, ErrOtherKind)
	require.ErrorContains(t, err, "outputs.archived")
}

func TestOtherEventsAreNotArchived(t *testing.T) {
	t.Parallel()
	e := testEvent()
	require.Equal(t, KindPrediction, e.Kind())
	_, err := e.Archived()
	require.ErrorIs(t, err, ErrOtherKind)
	_, err = e.Prediction()
	require.NoError(t, err)
	for _, body := range []string{"", "null", "[]", `{"outputs":1}`} {
		_, err := (&Event{Type: TypeArchived, Body: []byte(body)}).Archived()
		require.Error(t, err, body)
	}
}
