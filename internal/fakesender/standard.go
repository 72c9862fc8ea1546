package fakesender

import (
	"slices"
	"time"
)

var ends = map[string]string{completed: "succeeded", failed: "failed", canceled: "canceled", running: "processing"}

// common is any provider that writes its predictions as most do.
func common(p Prediction, word string) any {
	o := object{
		"id": p.ID, "model": p.Model, "status": word, "input": object{"seed": p.Number, "prompt": p.Prompt}, "output": nil,
		"error": orNil(p.Error), "created_at": timeText(p.Created), "completed_at": timeText(p.Ended),
	}
	if len(p.Outputs) > 0 {
		o["output"] = p.Outputs
	}
	if !p.Ended.IsZero() {
		o["metrics"] = object{"predict_time": 2.5}
	}
	return o
}

// standard has the repeats of the first ten minutes that the specification of Standard Webhooks
// proposes.
func standard() Sender {
	return Sender{
		Kind: "standard", Gaps: steps(5, 300), Timeout: 15 * time.Second,
		words: ends, webhook: common, answer: common, path: "/predictions/{id}", key: bearer, scheme: standardWebhooks(),
	}
}

// replicate repeats the webhooks of ends. How often is assumed: it is not documented.
func replicate() Sender {
	s := standard()
	s.Kind, s.Gaps = "replicate", steps(5, 30, 120, 300)
	return s
}

// openai names the response alone. Attempts go on for 72 hours, with waits that double up to two
// hours, which is assumed.
func openai() Sender {
	s := standard()
	s.Kind, s.Gaps = "openai", slices.Concat(steps(60, 120, 240, 480, 960, 1920, 3840), repeated(34, 7200))
	s.words = map[string]string{completed: "completed", failed: "failed", canceled: "cancelled", running: "in_progress"}
	s.webhook = func(p Prediction, word string) any {
		return object{"id": "evt_" + p.ID, "object": "event", "created_at": p.Ended.Unix(), "type": "response." + word, "data": object{"id": p.ID}}
	}
	s.inline = func(p Prediction) any {
		return object{"type": "message", "role": "assistant", "content": []object{{"type": "output_text", "text": textOf(p)}}}
	}
	s.answer = func(p Prediction, word string) any {
		o := object{"id": p.ID, "object": "response", "model": p.Model, "status": word, "created_at": p.Created.Unix(), "output": []any{}, "error": nil}
		switch p.Status {
		case completed:
			o["output"], o["completed_at"] = []any{s.inline(p)}, p.Ended.Unix()
		case failed:
			o["error"], o["failed_at"] = object{"code": "server_error", "message": p.Error}, p.Ended.Unix()
		}
		return o
	}
	s.path = "/responses/{id}"
	return s
}

// gemini names the file. Attempts go on for 24 hours, with waits as those of openai.
func gemini() Sender {
	s := standard()
	s.Kind, s.One, s.answer = "gemini", true, nil
	s.Gaps = slices.Concat(steps(60, 120, 240, 480, 960, 1920, 3840), repeated(10, 7200))
	s.words = map[string]string{completed: "batch.succeeded", failed: "batch.failed", canceled: "batch.cancelled"}
	s.webhook = func(p Prediction, word string) any {
		data := object{"id": p.ID}
		if out := first(p); out != nil {
			data["output_file_uri"] = out
		}
		if p.Error != "" {
			data["error_code"] = p.Error
		}
		return object{"type": word, "version": "v1", "timestamp": timeText(p.Ended), "data": data}
	}
	return s
}

// textOf is what a model of texts says.
func textOf(p Prediction) string { return "These are the words of " + p.ID + "." }
