package submit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// order is a checked submission.
type order struct {
	api    API
	key    string // the idempotency key, or ""
	digest string // of everything that makes two submissions the same
	body   []byte
	stream bool
	watch  bridge.Watch // the announcement, without the provider's answer
	token  []byte       // path token of the webhook, a secret that the provider may repeat
}

// prepare makes every check that is possible before the order is sent: a later failure has
// been paid for.
func (s *Submitter) prepare(sub adminapi.Submission, now time.Time) (*order, error) {
	source, ok := s.cfg.Source(sub.Source)
	if !ok {
		return nil, refuse(http.StatusNotFound, "No source of this name is configured.")
	}
	if source.OtherAPI {
		return nil, refuse(http.StatusBadRequest, "Predictions cannot be submitted to the provider of source %s from here: submit there, and announce the prediction with hookspan predictions watch.", sub.Source)
	}
	if source.API == nil || !source.API.HasKey() {
		return nil, refuse(http.StatusServiceUnavailable, "The bridge has no key for the provider's API: set sources.%s.api.key.", sub.Source)
	}
	if s.cfg.PublicURL == "" {
		return nil, refuse(http.StatusServiceUnavailable, "The bridge does not know at which address providers reach it: set ingress.public_url.")
	}
	if err := provider.CheckModel(sub.Model); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	if err := checkIdempotencyKey(sub.IdempotencyKey); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	o := &order{api: source.API, key: sub.IdempotencyKey, token: source.PathToken, watch: bridge.Watch{
		Source: sub.Source, Model: sub.Model, Deadline: sub.Deadline.UTC(),
		Reference: sub.Reference, Tenant: sub.Tenant, Metadata: sub.Metadata, Submitted: true,
	}}
	check := o.watch
	check.Prediction = "not known yet"
	if err := check.Check(now); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	var err error
	if o.stream, err = inspect(sub.Body); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	if o.body, err = withWebhook(sub.Body, webhookURL(s.cfg.PublicURL, &sub, source)); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	sum := sha256.New()
	sum.Write([]byte(sub.Model + "\n")) // a model has no line break
	sum.Write(sub.Body)
	o.digest = hex.EncodeToString(sum.Sum(nil))
	return o, nil
}

func checkIdempotencyKey(key string) error {
	if len(key) > adminapi.MaxIdempotencyKey {
		return fmt.Errorf("the idempotency key has %d bytes, at most %d are possible", len(key), adminapi.MaxIdempotencyKey)
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return fmt.Errorf("the idempotency key is not made of printable ASCII characters")
		}
	}
	return nil
}

func refuse(status int, format string, args ...any) *adminapi.SubmitError {
	return &adminapi.SubmitError{Status: status, Detail: fmt.Sprintf(format, args...)}
}
