package fakesender

import (
	"encoding/hex"
	"net/http"
	"time"
)

// generic is a sender for sources of kind hmac with signature: {header: X-Signature}.
func generic() Sender {
	s := standard()
	s.Kind, s.scheme = "hmac", hexBody("X-Signature", "")
	return s
}

// bfl gives up after the waits that its skill names.
func bfl() Sender {
	body := func(p Prediction, word string) any {
		o := object{"id": p.ID, "status": word, "result": nil}
		switch p.Status {
		case completed:
			o["result"] = object{"sample": first(p), "prompt": p.Prompt, "seed": p.Number}
		case failed:
			o["details"] = object{"message": p.Error}
		}
		return o
	}
	return Sender{
		Kind: "bfl", Gaps: steps(1, 5, 30), Timeout: 30 * time.Second, One: true,
		words:   map[string]string{completed: "Ready", failed: "Error", running: "Pending"},
		webhook: body, answer: body, path: "/get_result?id=", key: [2]string{"X-Key", ""}, scheme: hexBody("X-Bfl-Signature", "sha256="),
	}
}

// baseten has two attempts, the second after four statuses only, and keeps no output. That it comes
// again when nobody answers is assumed.
func baseten() Sender {
	return Sender{
		Kind: "baseten", Gaps: steps(2), Timeout: 10 * time.Second,
		ends:  endsExcept(http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout),
		words: map[string]string{completed: "", failed: ""},
		webhook: func(p Prediction, _ string) any {
			o := object{
				"request_id": p.ID, "model_id": p.Model, "deployment_id": "deployment", "type": "async_request_completed", "time": timeText(p.Ended),
				"data": nil, "errors": []any{},
			}
			if p.Error != "" {
				o["errors"] = []object{{"code": "MODEL_PREDICT_ERROR", "message": p.Error}}
			} else {
				o["data"] = object{"images": p.Outputs, "prompt": p.Prompt}
			}
			return o
		},
		scheme: hexBody("X-Baseten-Signature", "v1="),
	}
}

// elevenlabs makes one attempt: repeats are off unless its settings switch them on.
func elevenlabs() Sender {
	data := func(p Prediction) any {
		o := object{"agent_id": p.Model, "conversation_id": p.ID}
		if p.Error != "" {
			o["failure_reason"] = p.Error
		} else {
			o["transcript"] = []object{{"role": "agent", "message": textOf(p)}}
		}
		return o
	}
	return Sender{
		Kind: "elevenlabs", Timeout: 30 * time.Second,
		words:  map[string]string{completed: "post_call_transcription", failed: "call_initiation_failure"},
		inline: data,
		webhook: func(p Prediction, word string) any {
			return object{"type": word, "event_timestamp": p.Ended.Unix(), "data": data(p)}
		},
		scheme: scheme{header: "Elevenlabs-Signature", sign: func(m Message, at string, secret []byte) (http.Header, error) {
			return headers("Elevenlabs-Signature", "t="+at+",v0="+hex.EncodeToString(mac(secret, at, ".", string(m.Body)))), nil
		}},
	}
}

// github tells of a run of a workflow, once.
func github() Sender {
	run := func(p Prediction, word string) object {
		o := object{"id": p.ID, "path": p.Model, "status": "completed", "conclusion": word, "created_at": timeText(p.Created), "updated_at": timeText(p.Ended)}
		if out := first(p); out != nil {
			o["artifacts_url"] = out
		}
		return o
	}
	return Sender{
		Kind: "github", Timeout: 10 * time.Second, One: true,
		words: map[string]string{completed: "success", failed: "failure", canceled: "cancelled"},
		webhook: func(p Prediction, word string) any {
			return object{"action": "completed", "workflow_run": run(p, word), "repository": object{"description": p.Prompt}}
		},
		scheme: hexBody("X-Hub-Signature-256", "sha256="),
	}
}
