package source

import "time"

// confirm is any sender whose webhooks nothing proves: what a webhook says is asked of the API
// that sources.<name>.api names.
var confirm = Kind{
	Name: "confirm", Vendor: "com.hookspan.confirm",
	Body: common, Answer: common,
	RetrySpan: 10 * time.Minute,
	Confirm:   ConfirmAlways,
	API:       API{Header: bearer},
}

// runpod is https://docs.runpod.io: an unsigned webhook that counts 200 alone as taken and comes
// twice more, 10 s apart. The result of /run can be had for 30 minutes. The path names the
// endpoint: sources.<name>.api.base_url ends in it.
var runpod = Kind{
	Name: "runpod", Vendor: "io.runpod",
	Body: runpodBody, Answer: runpodBody,
	RetrySpan: 80 * time.Second, Forgives: 20 * time.Second,
	OutputLife: 30 * time.Minute,
	Confirm:    ConfirmAlways,
	API:        API{Result: []ResultPath{{"", "/status/{id}"}}, Header: bearer},
}

var runpodBody = Body{
	ID: []string{"/id"}, Status: []string{"/status"}, Outputs: []string{"/output"}, Error: []string{"/error"},
}

// luma is https://lumalabs.ai, Dream Machine, by its page on callbacks: every change of a
// generation is posted unsigned, 200 within 5 s counts alone, and three more attempts come 100 ms
// apart.
var luma = Kind{
	Name: "luma", Vendor: "ai.lumalabs",
	Body: lumaBody, Answer: lumaBody,
	RetrySpan: 21 * time.Second, Forgives: 300 * time.Millisecond,
	OutputHosts: []string{"storage.cdn-luma.com", "*.lumalabs.ai"},
	Confirm:     ConfirmAlways,
	API: API{
		BaseURL: "https://api.lumalabs.ai/dream-machine/v1", Result: []ResultPath{{"", "/generations/{id}"}}, Header: bearer,
	},
}

var lumaBody = Body{
	ID: []string{"/id"}, Model: []string{"/model"}, Status: []string{"/state"}, Outputs: []string{"/assets"}, Error: []string{"/failure_reason"},
	CreatedAt: []string{"/created_at"},
}

// kling is https://klingai.com by copies of its pages: an unsigned callback, results for 30 days,
// and a path that depends on the kind of task: sources.<name>.api.result changes it.
var kling = Kind{
	Name: "kling", Vendor: "com.klingai",
	Body: klingBody,
	Answer: Body{
		ID: []string{"/data/task_id"}, Status: []string{"/data/task_status"}, Outputs: []string{"/data/task_result"}, Error: []string{"/data/task_status_msg"},
		CreatedAt: []string{"/data/created_at"}, CompletedAt: []string{"/data/updated_at"},
	},
	RetrySpan:   2 * time.Minute,
	OutputHosts: []string{"*.klingai.com"},
	OutputLife:  30 * 24 * time.Hour,
	Confirm:     ConfirmAlways,
	API: API{
		BaseURL: "https://api.klingai.com/v1", Result: []ResultPath{{"", "/videos/text2video/{id}"}}, Header: bearer,
	},
}

var klingBody = Body{
	ID: []string{"/task_id"}, Status: []string{"/task_status"}, Outputs: []string{"/task_result"}, Error: []string{"/task_status_msg"},
	CreatedAt: []string{"/created_at"}, CompletedAt: []string{"/updated_at"},
}

// kie is https://kie.ai by its page on verification: the signature covers the task's id and the
// time, and not the body, so the API is asked always.
var kie = Kind{
	Name: "kie", Vendor: "ai.kie",
	Proof: &HMAC{
		Header: "X-Webhook-Signature", TimeHeader: "X-Webhook-Timestamp", Signed: "{/data/taskId}.{time}", Encoding: "base64", Tolerance: defaultTolerance,
	},
	Body: Body{
		ID: []string{"/data/taskId", "/data/task_id"}, Status: []string{"/code"}, Numbers: true,
		Statuses: map[string]string{"200": "completed", "*": "failed"},
	},
	Answer: Body{
		ID: []string{"/data/taskId"}, Model: []string{"/data/model"}, Status: []string{"/data/state", "/data/status"},
		Outputs: []string{"/data/response/resultUrls", "/data/resultUrls"}, Error: []string{"/data/failMsg", "/data/errorMessage"},
		CreatedAt: []string{"/data/createTime"}, CompletedAt: []string{"/data/completeTime"},
	},
	RetrySpan:   2 * time.Minute,
	OutputHosts: []string{"*.kie.ai"},
	Confirm:     ConfirmAlways,
	API: API{
		BaseURL: "https://api.kie.ai/api/v1", Result: []ResultPath{{"", "/jobs/recordInfo?taskId={id}"}}, Header: bearer,
	},
}
