package ingress

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/fakesender"
)

// unconfirmed keeps deliveries of senders that prove nothing in the place of events.
type unconfirmed struct{ *publisher }

func (u unconfirmed) Keep(ctx context.Context, _ *bridge.KeptDelivery, prediction string) (bridge.Receipt, error) {
	return u.Publish(ctx, &bridge.Event{PredictionID: prediction})
}

// While the store is away every sender is answered so that it comes again, and what it sends then is
// taken. Its attempts follow at once.
func TestEverySenderComesAgainWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	key := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	away := []error{bridge.ErrUnavailable, bridge.ErrFull, bridge.ErrUnknown}
	for _, kind := range source.Kinds() {
		sender, err := fakesender.Of(kind)
		require.NoError(t, err)
		if len(sender.Gaps) == 0 {
			continue // it never comes again, or sends nothing
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cfg := source.Config{Name: "a", Kind: kind, HasKey: true}
			signs := []byte(key)
			if sender.NeedsSecret() {
				cfg.Secrets = [][]byte{signs}
			} else if sender.Signs() {
				signs = fakesender.NewSecret()
				keys := httptest.NewRecorder()
				sender.API(signs, nil).ServeHTTP(keys, httptest.NewRequest(http.MethodGet, fakesender.KeysPath, http.NoBody))
				cfg.FetchKeys = func(context.Context, string) ([]byte, error) { return keys.Body.Bytes(), nil }
			}
			cfg.Options.Result = "/predictions/{id}"
			if kind == "hmac" {
				cfg.Options.Signature.Header = sender.SignatureHeader()
			}
			src, err := source.New(cfg)
			require.NoError(t, err)
			// The store is away for all attempts but the last.
			attempts := 0
			pub, keep := &publisher{}, &keeper{}
			pub.answer = func(context.Context, *bridge.Event) (bridge.Receipt, error) {
				if attempts <= len(sender.Gaps) {
					return bridge.Receipt{}, away[attempts%len(away)]
				}
				return bridge.Receipt{Result: bridge.Stored}, nil
			}
			all := deps(pub, keep)
			all.Unconfirmed = unconfirmed{pub}
			server, err := New(complete(Config{}), []Route{{Source: src}}, all, zap.NewNop())
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- server.Run(ctx) }()
			defer func() {
				cancel()
				require.NoError(t, <-done)
			}()

			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			now := time.Now()
			body := sender.Webhook(fakesender.Prediction{ID: "pred_1", Model: "a/b", Status: bridge.StatusCompleted, Outputs: []string{"https://cdn.example.com/1.png"}, Created: now, Ended: now})
			status := 0
			for again := true; again; again = sender.ComesAgain(status) && attempts <= len(sender.Gaps) {
				attempts++
				r, err := http.NewRequest(http.MethodPost, "http://"+server.Addr().String()+"/webhooks/a", bytes.NewReader(body))
				require.NoError(t, err)
				r.Header, err = sender.Sign(fakesender.Message{Prediction: "pred_1", At: time.Now(), Body: body}, signs)
				require.NoError(t, err)
				res, err := transport.RoundTrip(r)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				status = res.StatusCode
			}
			require.True(t, sender.Accepts(status), "%d at attempt %d", status, attempts)
			require.Equal(t, len(sender.Gaps)+1, attempts)
			require.Len(t, pub.published(), attempts, "it was authentic each time")
		})
	}
}
