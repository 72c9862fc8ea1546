package source

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// sharedSecret is any sender that proves itself by a secret alone: in the header that
// sources.<name>.signature names, or without one in the path, as sources.<name>.path_token.
var sharedSecret = Kind{
	Name: "shared-secret", Vendor: "com.hookspan.sharedsecret",
	Body: common, Answer: common,
	RetrySpan: 10 * time.Minute,
}

// assemblyai is https://assemblyai.com by its page on webhooks for recorded audio: the header is
// webhook_auth_header_name of the request. The webhook names the transcript without having it. Any
// status 4xx ends its up to 10 attempts.
var assemblyai = Kind{
	Name: "assemblyai", Vendor: "com.assemblyai",
	Proof: &SharedSecret{Header: "X-Webhook-Secret"},
	Body:  Body{ID: []string{"/transcript_id"}, Status: []string{"/status"}, Error: []string{"/error"}},
	Answer: Body{
		ID: []string{"/id"}, Model: []string{"/speech_model"}, Status: []string{"/status"}, Outputs: []string{"/text"}, Error: []string{"/error"},
	},
	RetrySpan: 10 * time.Minute,
	Answers:   map[Outcome]int{NotAuthentic: statusUnavailable, ComeAgain: statusUnavailable},
	Confirm:   ConfirmIfKey,
	API: API{
		BaseURL: "https://api.assemblyai.com/v2", Result: []ResultPath{{"", "/transcript/{id}"}}, Header: map[string]string{"Authorization": "{key}"},
	},
}

// deepgram is https://deepgram.com: the header has the id of the API key of the request, and the
// body the result, which is kept nowhere else.
var deepgram = Kind{
	Name: "deepgram", Vendor: "com.deepgram",
	Proof: &SharedSecret{Header: "Dg-Token"},
	Body: Body{
		ID: []string{"/metadata/request_id", "/request_id"}, Model: []string{"/metadata/models/0"}, Outputs: []string{"/results"}, Error: []string{"/err_msg", "/error"},
		CreatedAt: []string{"/metadata/created"},
	},
	RetrySpan: 10 * time.Minute,
}

// cerebrium is https://cerebrium.ai by its page on webhooks: nothing proves a webhook and nobody
// can be asked, so the secret is in the path. Up to 3 attempts come within 5 s, after 404 alone:
// other statuses 4xx and all 5xx end them.
var cerebrium = Kind{
	Name: "cerebrium", Vendor: "ai.cerebrium",
	Body: Body{
		ID: []string{"/run_id", "/id"}, Outputs: []string{"/result", "/output", "/outputs"}, Error: []string{"/error"},
	},
	RetrySpan: 30 * time.Second,
	Answers:   map[Outcome]int{ComeAgain: statusNotFound},
}

// SharedSecret is a proof by a header that holds the secret itself.
type SharedSecret struct{ Header string }

// private marks the header as one that is not kept.
func (*SharedSecret) private() {}

// Headers implements [Proof].
func (s *SharedSecret) Headers() []string { return canonical(s.Header) }

// Verify implements [Proof].
func (s *SharedSecret) Verify(d *Delivery, secrets [][]byte) error {
	value, ok := one(d.Proof, canonical(s.Header)[0])
	came := sha256.Sum256([]byte(value))
	proved := 0
	for _, secret := range secrets {
		own := sha256.Sum256(secret) // so the length does not tell
		proved |= subtle.ConstantTimeCompare(came[:], own[:])
	}
	if !ok || proved == 0 {
		return ErrNotAuthentic
	}
	return nil
}

// Sign implements [Proof].
func (s *SharedSecret) Sign(_ Message, secret []byte) (bridge.Header, error) {
	return bridge.Header{canonical(s.Header)[0]: {string(secret)}}, nil
}

// minShared is the length in bytes from which a secret is not guessed.
const minShared = 8

// CheckSecret implements [Proof].
func (s *SharedSecret) CheckSecret(secret []byte) error {
	if len(secret) < minShared {
		return errors.New("the secret travels in a header and has less than 8 bytes: use a longer one")
	}
	return nil
}
