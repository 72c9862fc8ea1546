package source

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/fakesender"
)

// played is a source, and the sender that plays its provider.
type played struct {
	*fakesender.Sender

	src    *Source
	secret []byte
}

// play returns the source of a kind. The senders share no code with it.
func play(t *testing.T, kind string) played {
	t.Helper()
	sender, err := fakesender.Of(kind)
	require.NoError(t, err)
	p := played{Sender: sender, secret: []byte(whsec)}
	cfg := Config{Name: "a", Kind: kind, HasKey: true}
	switch {
	case sender.NeedsSecret():
		cfg.Secrets = [][]byte{p.secret}
	case sender.Signs():
		p.secret = fakesender.NewSecret()
		keys := httptest.NewRecorder()
		sender.API(p.secret, nil).ServeHTTP(keys, httptest.NewRequest(http.MethodGet, fakesender.KeysPath, http.NoBody))
		cfg.FetchKeys = func(context.Context, string) ([]byte, error) { return keys.Body.Bytes(), nil }
	}
	switch kind {
	case "hmac":
		cfg.Options.Signature.Header, cfg.Options.Result = sender.SignatureHeader(), "/predictions/{id}"
	case "confirm", "poll", "standard", "shared-secret": // they say nothing of an API
		cfg.Options.Result = "/predictions/{id}"
	}
	p.src, err = New(cfg)
	require.NoError(t, err)
	return p
}

// prediction is one that has ended.
func (p played) prediction(status string) fakesender.Prediction {
	one := fakesender.Prediction{ID: "pred_1", Model: "owner/app/x", Status: status, Prompt: "a prompt", Created: received.Add(-3 * time.Second), Ended: received}
	switch status {
	case bridge.StatusCompleted:
		one.Outputs = []string{"https://cdn.example.com/1.png", "https://cdn.example.com/2.png"}
		if p.One {
			one.Outputs = one.Outputs[:1]
		}
	case bridge.StatusFailed:
		one.Error = "out of memory"
	}
	return one
}

func (p played) deliver(t *testing.T, one fakesender.Prediction) (*bridge.Event, error) {
	t.Helper()
	body := p.Webhook(one)
	h, err := p.Sign(fakesender.Message{Prediction: one.ID, At: received, Body: body}, p.secret)
	require.NoError(t, err)
	proof := bridge.Header{}
	for _, name := range p.src.kind.ProofHeaders() {
		if values := h.Values(name); len(values) > 0 {
			proof[name] = values
		}
	}
	return p.src.Accept(Delivery{Proof: proof, Body: body, ContentType: h.Get("Content-Type"), ReceivedAt: received, Origin: bridge.OriginWebhook})
}

// requireTold requires an event to say what the prediction is.
func (p played) requireTold(t *testing.T, one fakesender.Prediction, e *bridge.Event) {
	t.Helper()
	require.Equal(t, one.ID, e.PredictionID)
	if !bridge.Terminal(one.Status) && p.TellsEndsOnly() { // some have one word for all of it
		require.False(t, bridge.Terminal(e.Status))
		return
	}
	require.Equal(t, one.Status, e.Status)
	back, err := bridge.DecodeEvent(e.Header(), e.Body) // as a consumer has it
	require.NoError(t, err)
	told, err := back.Prediction()
	require.NoError(t, err)
	if one.Error != "" && p.Kind != "github" { // it has no words
		require.Contains(t, told.Error, one.Error)
	}
	var outputs []string
	for _, o := range told.Outputs {
		outputs = append(outputs, o.URL)
	}
	if _, inline := p.Inline(one); inline && one.Status == bridge.StatusCompleted {
		require.Equal(t, []string{""}, outputs)
		return
	}
	if one.Status == bridge.StatusCompleted {
		require.Equal(t, one.Outputs, outputs)
	}
}

// What each sender writes and signs is proved and read, and a webhook and an answer about the same
// end are one event.
func TestKindsReadTheirSenders(t *testing.T) {
	t.Parallel()
	require.Equal(t, Kinds(), fakesender.Kinds())
	for _, kind := range Kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := play(t, kind)
			statuses := append(p.Statuses(), bridge.StatusProcessing)
			if !p.TellsEndsOnly() {
				statuses = []string{bridge.StatusCompleted, bridge.StatusFailed, bridge.StatusProcessing, bridge.StatusCreated}
			}
			require.Contains(t, statuses, bridge.StatusCompleted)
			require.Contains(t, statuses, bridge.StatusFailed)
			require.Equal(t, !p.src.kind.NoWebhook, p.Posts())
			require.Equal(t, p.src.kind.NeedsSecret(), p.NeedsSecret())
			for _, status := range statuses {
				one := p.prediction(status)
				if status == bridge.StatusProcessing || status == bridge.StatusCreated {
					one.Ended = time.Time{}
				}
				var posted *bridge.Event
				if p.Posts() && (bridge.Terminal(status) || !p.TellsEndsOnly()) {
					var err error
					posted, err = p.deliver(t, one)
					require.NoError(t, err, status)
					require.Equal(t, status, posted.Status)
					if !p.src.Confirms() {
						p.requireTold(t, one, posted)
					}
					require.True(t, p.Proved(fakesender.Message{Prediction: one.ID, Body: posted.Body}, p.secret, posted.Signature, posted.Proof), status)
				}
				if !p.Answers() || status == bridge.StatusProcessing && len(p.src.kind.API.Open) > 0 { // which a status tells
					continue
				}
				require.NotEmpty(t, p.src.kind.API.Result, "the answer is asked for")
				polled, err := p.src.ReadAnswer(Delivery{Body: p.Answer(one), ReceivedAt: received, Origin: bridge.OriginPoll, AnyAge: true}, one.ID)
				require.NoError(t, err, status)
				p.requireTold(t, one, polled)
				if posted != nil && !p.src.Confirms() && bridge.Terminal(status) {
					require.Equal(t, posted.ID, polled.ID, status)
				}
			}
		})
	}
}

// Whatever keeps a delivery from being kept, its sender is answered what makes it come again, as
// far as it ever does.
func TestAnswersMakeEachSenderComeAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		p := play(t, kind)
		for _, usual := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError} {
			status := p.src.kind.Status(ComeAgain, usual)
			require.True(t, p.ComesAgain(status), "%s is answered %d for %d", kind, status, usual)
		}
		require.False(t, p.ComesAgain(http.StatusOK), kind)
		span := p.Timeout
		for _, gap := range p.Gaps {
			span += gap + p.Timeout
		}
		require.True(t, span <= p.src.kind.RetrySpan || !p.Posts(), "%s: %v, and the kind says %v", kind, span, p.src.kind.RetrySpan)
	}
}
