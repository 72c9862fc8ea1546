package source

import "time"

// wavespeed is https://wavespeed.ai by its page on verifying webhooks: headers as Standard
// Webhooks has them, with a version of its own and a key that is not decoded. Its body is that of
// Get3W. It documents neither how long outputs live nor when it repeats; the span is a guess that
// polls wait for.
var wavespeed = Kind{
	Name: "wavespeed", Vendor: "ai.wavespeed",
	Proof: &HMAC{
		Header: "Webhook-Signature", IDHeader: "Webhook-Id", TimeHeader: "Webhook-Timestamp", Signed: "{id}.{time}.{body}",
		Prefix: "v3,", Separator: " ", Key: "unprefixed", Tolerance: defaultTolerance,
	},
	Body: wavespeedBody, Answer: wavespeedBody,
	RetrySpan:   2 * time.Minute,
	OutputHosts: []string{"*.wavespeed.ai", "*.cloudfront.net"},
	API: API{
		BaseURL: "https://api.wavespeed.ai/api/v3", Result: []ResultPath{{"", "/predictions/{id}/result"}}, Header: bearer, Enveloped: true,
	},
}

// wavespeedBody is Get3W's with more words for the end.
var wavespeedBody = func() Body {
	b := plain
	b.OwnWords = false
	return b
}()
