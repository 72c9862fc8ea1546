package fakesender

import "time"

// confirmKind is a sender for sources of kind confirm with api: {result: "/predictions/{id}"}.
func confirmKind() Sender {
	s := standard()
	s.Kind, s.scheme = "confirm", scheme{}
	return s
}

// runpod counts 200 alone. That it waits 20 s for an answer is assumed.
func runpod() Sender {
	body := func(p Prediction, word string) any {
		o := object{"id": p.ID, "status": word, "delayTime": 10, "executionTime": 2500, "input": object{"prompt": p.Prompt}}
		switch p.Status {
		case completed:
			o["output"] = object{"images": p.Outputs, "seed": p.Number}
		case failed:
			o["error"] = p.Error
		}
		return o
	}
	return Sender{
		Kind: "runpod", Gaps: steps(10, 10), Timeout: 20 * time.Second, Only200: true,
		words:   map[string]string{completed: "COMPLETED", failed: "FAILED", canceled: "CANCELLED", running: "IN_PROGRESS"},
		webhook: body, answer: body, path: "/status/{id}", key: bearer,
	}
}

// luma counts 200 alone, and gives up soon.
func luma() Sender {
	body := func(p Prediction, word string) any {
		o := object{"id": p.ID, "model": p.Model, "state": word, "failure_reason": orNil(p.Error), "created_at": timeText(p.Created), "assets": nil, "request": object{"prompt": p.Prompt}}
		if out := first(p); out != nil {
			o["assets"] = object{"video": out}
		}
		return o
	}
	return Sender{
		Kind: "luma", Gaps: steps(0.1, 0.1, 0.1), Timeout: 5 * time.Second, Only200: true, One: true,
		words:   map[string]string{completed: "completed", failed: "failed", running: "dreaming"},
		webhook: body, answer: body, path: "/generations/{id}", key: bearer,
	}
}

// kling says nothing of repeats: two are assumed.
func kling() Sender {
	body := func(p Prediction, word string) any {
		videos := []object{}
		for _, out := range p.Outputs {
			videos = append(videos, object{"id": "video", "url": out, "duration": "5"})
		}
		o := object{
			"task_id": p.ID, "task_status": word, "task_status_msg": p.Error, "task_info": object{"external_task_id": p.Prompt},
			"created_at": p.Created.UnixMilli(), "updated_at": p.Ended.UnixMilli(),
		}
		if p.Status == completed {
			o["task_result"] = object{"videos": videos}
		}
		return o
	}
	return Sender{
		Kind: "kling", Gaps: steps(10, 30), Timeout: 10 * time.Second,
		words:   map[string]string{completed: "succeed", failed: "failed", running: "processing"},
		webhook: body, path: "/videos/text2video/{id}", key: bearer,
		answer: func(p Prediction, word string) any {
			return object{"code": 0, "message": "SUCCEED", "request_id": "request", "data": body(p, word)}
		},
	}
}

// kie says nothing of repeats: two are assumed.
func kie() Sender {
	return Sender{
		Kind: "kie", Gaps: steps(10, 30), Timeout: 15 * time.Second,
		words: map[string]string{completed: "success", failed: "fail", running: "generating"},
		webhook: func(p Prediction, _ string) any {
			code, data := 200, object{"taskId": p.ID, "resultUrls": p.Outputs}
			if p.Status == failed {
				code, data = 501, object{"taskId": p.ID, "prompt": p.Prompt}
			}
			return object{"code": code, "msg": p.Error, "data": data}
		},
		answer: func(p Prediction, word string) any {
			data := object{"taskId": p.ID, "model": p.Model, "state": word, "createTime": p.Created.UnixMilli(), "failMsg": p.Error}
			if p.Status == completed {
				data["response"] = object{"resultUrls": p.Outputs}
			}
			if !p.Ended.IsZero() {
				data["completeTime"] = p.Ended.UnixMilli()
			}
			return object{"code": 200, "msg": "success", "data": data}
		},
		path: "/jobs/recordInfo?taskId=", key: bearer,
		scheme: scheme{header: "X-Webhook-Signature", time: "X-Webhook-Timestamp", sign: signTask, uncovered: true},
	}
}
