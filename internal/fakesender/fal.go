package fakesender

import (
	"net/http"
	"time"
)

// fal makes ten attempts in two hours; how the waits grow is assumed. Its API answers with what the
// model says, 422 when that is why it failed, and 400 before.
func fal() Sender {
	said := func(p Prediction) object {
		images := []object{}
		for _, out := range p.Outputs {
			images = append(images, object{"url": out, "content_type": "image/png"})
		}
		return object{"images": images, "seed": p.Number, "prompt": p.Prompt}
	}
	detail := func(p Prediction) object {
		return object{"detail": []object{{"loc": []string{"body", "prompt"}, "msg": p.Error, "type": "value_error"}}}
	}
	return Sender{
		Kind: "fal", Gaps: steps(15, 30, 60, 120, 240, 480, 900, 1800, 3400), Timeout: 15 * time.Second,
		words: map[string]string{completed: "OK", failed: "ERROR"},
		webhook: func(p Prediction, word string) any {
			o := object{"request_id": p.ID, "gateway_request_id": p.ID, "status": word, "error": nil}
			if p.Status == completed {
				o["payload"] = said(p)
			} else {
				o["error"], o["payload"] = "Invalid status code: 422", detail(p)
			}
			return o
		},
		answer: func(p Prediction, _ string) any {
			if p.Status == failed {
				return detail(p)
			}
			return said(p)
		},
		path: "/{owner}/{app}/requests/{id}", key: [2]string{"Authorization", "Key "}, open: http.StatusBadRequest,
		failure: http.StatusUnprocessableEntity, scheme: falKeys(),
	}
}
