package source

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// foreignTexts are what senders put where one word is expected.
var foreignTexts = []string{
	"", "plain", " ", "\t", "\u00a0\u2003", "a;/usr/bin/id;", "application", "/json", "application/", "text/plain; charset=utf-8", "text/html; x", "a/b/c", "*/*",
	"application/cloudevents+json", "application/cloudevents-batch+json", "APPLICATION/CLOUDEVENTS", "x/y; z=application/cloudevents", "multipart/mixed; boundary=\"\u2028\"",
	"application/json, text/html", "a\u009b31m", "x\u2028y", "é", "%00%", "\x00", "\r\nce-id: forged", "../..", "https:///", strings.Repeat("x", 300), "\"quoted\"", "0001-01-01T00:00:00Z",
}

// requireCloudEvent checks the stored event with the CloudEvents SDK, which leaves
// percent-encoding as it is.
func requireCloudEvent(t *testing.T, e *bridge.Event) {
	t.Helper()
	header := http.Header{}
	stored := e.Header()
	for name := range stored {
		value, err := stored.Value(name)
		require.NoError(t, err)
		header.Set(name, value)
	}
	header.Set("Content-Type", header.Get("ce-datacontenttype"))
	header.Del("ce-datacontenttype")
	message := cehttp.NewMessage(header, io.NopCloser(strings.NewReader(string(e.Body))))
	require.Equal(t, binding.EncodingBinary, message.ReadEncoding(), "the body is read as the event: %q", e.ContentType)
	ce, err := binding.ToEvent(context.Background(), message)
	require.NoError(t, err)
	require.NoError(t, ce.Validate(), "%+v", e)
	// The SDK trims values, which travel percent-encoded.
	require.Equal(t, strings.TrimSpace(e.ID), strings.TrimSpace(ce.ID()))
	require.Equal(t, strings.TrimSpace(e.PredictionID), strings.TrimSpace(ce.Subject()))
	require.Equal(t, "/sources/"+e.Source, ce.Source())
	require.Equal(t, e.Type, ce.Type())
	require.True(t, e.Time.Equal(ce.Time()))
	require.Equal(t, e.ContentType, ce.DataContentType())
	require.Equal(t, e.Body, ce.Data())
	read, err := bridge.DecodeEvent(stored, e.Body)
	require.NoError(t, err)
	require.Equal(t, e.SentContentType, read.SentContentType)
}

// accept signs a body with the fields and accepts it if it is usable.
func accept(t *testing.T, contentType, id, status, model, completed, query string) *bridge.Event {
	t.Helper()
	body, err := json.Marshal(map[string]string{"id": id, "status": status, "model": model, "completed_at": completed})
	require.NoError(t, err)
	d := delivery(string(body))
	d.ContentType, d.Query, d.AnyAge = contentType, map[string]string{"ref": query}, true
	e, err := newSource(t, secret).Accept(d)
	if _, unusable := errors.AsType[*UnusableError](err); unusable {
		return nil
	}
	require.NoError(t, err)
	return e
}

func TestWhatIsStoredIsACloudEventWhateverTheSenderClaims(t *testing.T) {
	t.Parallel()
	for _, text := range foreignTexts {
		for _, e := range []*bridge.Event{
			accept(t, text, "p", "completed", "m", "", ""), accept(t, "", text, "completed", "m", "", ""), accept(t, "", "p", text, "m", "", ""),
			accept(t, "", "p", "failed", text, "", ""), accept(t, "", "p", "failed", "m", text, ""), accept(t, "", "p", "failed", "m", "", text),
			accept(t, text, text, text, text, text, text),
		} {
			if e != nil {
				requireCloudEvent(t, e)
			}
		}
	}
}

// So is what every kind makes of a webhook, and of an answer of its API.
func TestEveryKindStoresCloudEvents(t *testing.T) {
	t.Parallel()
	for name, s := range samples(t) {
		src := s.source(t, kindOf(name), s.secrets()...)
		for _, contentType := range foreignTexts {
			if s.body != "" {
				d := s.delivery(t, src, received)
				d.ContentType = contentType
				e, err := src.Accept(d)
				require.NoError(t, err, "%s %q", name, contentType)
				requireCloudEvent(t, e)
			}
			if s.answer != "" {
				e, err := src.ReadAnswer(Delivery{Body: []byte(s.answer), ContentType: contentType, ReceivedAt: received, Origin: bridge.OriginPoll, AnyAge: true}, s.id)
				require.NoError(t, err, "%s %q", name, contentType)
				requireCloudEvent(t, e)
			}
		}
	}
}

// The sender's content type stays readable when it cannot be the event's.
func TestContentTypeOfTheSender(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string][2]string{
		"":                                {"application/json", ""},
		"application/json":                {"application/json", ""},
		"application/json; charset=utf-8": {"application/json; charset=utf-8", ""},
		"text/plain":                      {"text/plain", ""},
		"a;/usr/bin/id;":                  {"application/json", "a;/usr/bin/id;"},
		"json":                            {"application/json", "json"},
		"application/cloudevents+json":    {"application/json", "application/cloudevents+json"},
	} {
		e := accept(t, sent, "p", "completed", "m", "", "")
		require.Equal(t, want, [2]string{e.ContentType, e.SentContentType}, sent)
	}
}

func FuzzStoredEventIsACloudEvent(f *testing.F) {
	for _, text := range foreignTexts {
		f.Add(text, text, text, text, text, text)
	}
	f.Fuzz(func(t *testing.T, contentType, id, status, model, completed, query string) {
		if e := accept(t, contentType, id, status, model, completed, query); e != nil {
			requireCloudEvent(t, e)
		}
	})
}
