package fakesender

import (
	"encoding/base64"
	"net/http"
)

// pollKind is a provider for sources of kind poll with api: {result: "/predictions/{id}"}.
func pollKind() Sender {
	s := standard()
	s.Kind, s.webhook, s.scheme, s.Gaps = "poll", nil, scheme{}, nil
	return s
}

func runway() Sender {
	return Sender{
		Kind:  "runway",
		words: map[string]string{completed: "SUCCEEDED", failed: "FAILED", canceled: "CANCELLED", running: "RUNNING"},
		answer: func(p Prediction, word string) any {
			o := object{"id": p.ID, "status": word, "createdAt": timeText(p.Created)}
			switch p.Status {
			case completed:
				o["output"] = p.Outputs
			case failed:
				o["failure"], o["failureCode"] = p.Error, "INTERNAL.BAD_OUTPUT.CODE01"
			}
			return o
		},
		path: "/tasks/{id}", key: bearer,
	}
}

// stability answers with the result itself, and 202 before.
func stability() Sender {
	video := func(p Prediction) any { return base64.StdEncoding.EncodeToString([]byte(textOf(p))) }
	return Sender{
		Kind:   "stability",
		words:  map[string]string{completed: "", failed: ""},
		inline: video,
		answer: func(p Prediction, _ string) any {
			if p.Error != "" {
				return object{"id": p.ID, "name": "internal_error", "errors": []string{p.Error}}
			}
			return object{"video": video(p), "finish_reason": "SUCCESS", "seed": p.Number}
		},
		path: "/results/{id}", key: bearer, open: http.StatusAccepted,
	}
}
