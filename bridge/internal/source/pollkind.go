package source

import "time"

// poll is any provider that sends no webhooks: predictions that were watched are asked for at the
// API that sources.<name>.api names.
var poll = Kind{
	Name: "poll", Vendor: "com.hookspan.poll",
	Answer: common, NoWebhook: true,
	API: API{Header: bearer},
}

// runway is https://docs.dev.runwayml.com, which documents no webhook. Outputs live for 24 to 48
// hours.
var runway = Kind{
	Name: "runway", Vendor: "com.runwayml",
	Answer: Body{
		ID: []string{"/id"}, Status: []string{"/status"}, Outputs: []string{"/output"}, Error: []string{"/failure", "/failureCode"}, CreatedAt: []string{"/createdAt"},
	},
	NoWebhook:   true,
	OutputHosts: []string{"*.cloudfront.net"},
	OutputLife:  24 * time.Hour,
	API: API{
		BaseURL: "https://api.dev.runwayml.com/v1", Result: []ResultPath{{"", "/tasks/{id}"}},
		Header: map[string]string{"Authorization": "Bearer {key}", "X-Runway-Version": "2024-11-06"},
	},
}

// stability is https://stability.ai: 202 while a generation runs, then the result itself, which
// lives for 24 hours.
var stability = Kind{
	Name: "stability", Vendor: "ai.stability",
	Answer:     Body{Outputs: []string{"/result", "/video", "/image"}, Error: []string{"/errors"}},
	NoWebhook:  true,
	OutputLife: 24 * time.Hour,
	API: API{
		BaseURL: "https://api.stability.ai/v2beta", Result: []ResultPath{{"", "/results/{id}"}}, Header: bearer, Open: []int{202},
	},
}
