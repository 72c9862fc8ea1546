package source

import "time"

// elevenlabs is https://elevenlabs.io by its library elevenlabs-js: one header has the time and the
// signature of "time.body". Repeats are off unless they are switched on in its settings.
var elevenlabs = Kind{
	Name: "elevenlabs", Vendor: "io.elevenlabs",
	Proof: &HMAC{
		Header: "Elevenlabs-Signature", Signed: "{time}.{body}", TimePrefix: "t=", Prefix: "v0=", Separator: ",", Tolerance: 30 * time.Minute,
	},
	Body: Body{
		ID: []string{"/data/conversation_id", "/data/request_id", "/data/id"}, Model: []string{"/data/agent_id"}, Status: []string{"/type"}, Outputs: []string{"/data"},
		Error:       []string{"/data/failure_reason"},
		CompletedAt: []string{"/event_timestamp"},
		Statuses: map[string]string{
			"post_call_transcription": "completed", "post_call_audio": "completed", "speech_to_text_transcription": "completed", "call_initiation_failure": "failed",
		},
	},
	RetrySpan: time.Minute,
}
