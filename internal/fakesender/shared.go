package fakesender

import (
	"net/http"
	"time"
)

// sharedSecretKind is a sender for sources of kind shared-secret with a path token.
func sharedSecretKind() Sender {
	s := standard()
	s.Kind, s.scheme = "shared-secret", scheme{}
	return s
}

// assemblyai names the transcript, ten times at most. Its waits are assumed.
func assemblyai() Sender {
	return Sender{
		Kind: "assemblyai", Gaps: repeated(9, 10), Timeout: 10 * time.Second, ends: clientErrors,
		words:  map[string]string{completed: "completed", failed: "error", running: "processing"},
		inline: func(p Prediction) any { return textOf(p) },
		webhook: func(p Prediction, word string) any {
			return object{"transcript_id": p.ID, "status": word}
		},
		answer: func(p Prediction, word string) any {
			o := object{"id": p.ID, "speech_model": p.Model, "status": word, "text": nil, "error": orNil(p.Error)}
			if p.Status == completed {
				o["text"] = textOf(p)
			}
			return o
		},
		path: "/transcript/{id}", key: [2]string{"Authorization", ""}, scheme: sharedSecret("X-Webhook-Secret"),
	}
}

// deepgram sends the result, and keeps it nowhere. Ten more attempts with 30 s between are assumed.
func deepgram() Sender {
	results := func(p Prediction) any {
		return object{"channels": []object{{"alternatives": []object{{"transcript": textOf(p), "confidence": 1}}}}}
	}
	return Sender{
		Kind: "deepgram", Gaps: repeated(10, 30), Timeout: 10 * time.Second,
		words:  map[string]string{completed: "", failed: ""},
		inline: results,
		webhook: func(p Prediction, _ string) any {
			o := object{"metadata": object{"request_id": p.ID, "models": []string{p.Model}, "created": timeText(p.Created), "title": p.Prompt}}
			if p.Error != "" {
				o["err_msg"] = p.Error
			} else {
				o["results"] = results(p)
			}
			return o
		},
		scheme: sharedSecret("Dg-Token"),
	}
}

// cerebrium has three attempts within 5 s, after 404 alone, for a source with a path token. That it
// waits 5 s for an answer is assumed.
func cerebrium() Sender {
	return Sender{
		Kind: "cerebrium", Gaps: steps(1, 2), Timeout: 5 * time.Second, ends: endsExcept(http.StatusNotFound),
		words: map[string]string{completed: "", failed: ""},
		webhook: func(p Prediction, _ string) any {
			o := object{"run_id": p.ID, "run_time_ms": 2500}
			if p.Error != "" {
				o["error"] = p.Error
			} else {
				o["result"] = object{"images": p.Outputs, "prompt": p.Prompt}
			}
			return o
		},
	}
}
