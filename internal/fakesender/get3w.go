package fakesender

import (
	"encoding/hex"
	"strings"
	"time"
)

// get3w tries four times. Its documentation does not say whether its waits count from the attempt
// before or from the first one; as gaps it tries for longer, so that a copy can come later.
func get3w() Sender {
	return Sender{
		Kind: "get3w", Gaps: steps(10, 30, 60), Timeout: 30 * time.Second,
		webhook: get3wBody, answer: get3wBody, path: "/predictions/{id}", key: bearer, enveloped: true,
		scheme: hexBody("X-Get3W-Signature", ""),
	}
}

func get3wV1() Sender {
	s := get3w()
	s.Kind, s.path = "get3w-v1", "/requests/{id}"
	return s
}

// wavespeed signs as Standard Webhooks says, but for the key and the version. Its repeats are those
// that third parties tell of: three, with waits and a time-out that are assumed.
func wavespeed() Sender {
	s := get3w()
	s.Kind, s.path, s.Gaps = "wavespeed", "/predictions/{id}/result", steps(5, 10, 20)
	s.Timeout = 20 * time.Second
	s.scheme = webhookHeaders(func(id, at string, body, secret []byte) (string, error) {
		key := []byte(strings.TrimPrefix(string(secret), whsec))
		return "v3," + hex.EncodeToString(mac(key, id, ".", at, ".", string(body))), nil
	})
	return s
}

// get3wBody is the object of webhooks, and of answers, which have an envelope around it.
func get3wBody(p Prediction, word string) any {
	o := object{
		"id": p.ID, "model": p.Model, "status": word, "input": object{"seed": p.Number, "prompt": p.Prompt},
		"urls": object{"get": "https://api.get3w.com/api/v3/predictions/" + p.ID}, "created_at": timeText(p.Created),
	}
	if len(p.Outputs) > 0 {
		o["outputs"] = p.Outputs
	}
	if p.Error != "" {
		o["error"] = p.Error
	}
	if !p.Ended.IsZero() {
		o["completed_at"], o["timings"] = timeText(p.Ended), object{"inference": 2500}
	}
	return o
}
