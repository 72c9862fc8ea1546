package bridge

// PredictionsConsumer owns the dead letters of predictions that were given up, and reads what
// is redriven from them. No other consumer can have the name.
const PredictionsConsumer = "predictions"

// PollsBucket is the key-value bucket of what processes share beside the events: who leads the
// polling, the polls, idempotency keys, jobs.
func (n Names) PollsBucket() string { return n.upper("_POLLS") }

// PollsStream is the stream behind [Names.PollsBucket].
func (n Names) PollsStream() string { return "KV_" + n.PollsBucket() }

// PollsSubject is the subject of one key of [Names.PollsBucket], or of all keys that match a
// pattern.
func (n Names) PollsSubject(key string) string { return "$KV." + n.PollsBucket() + "." + key }

// OldPredictionsStream is the stream of the prediction store of versions before the view.
func (n Names) OldPredictionsStream() string { return "KV_" + n.upper("_PREDICTIONS") }

// PredictionKey is a key of [Names.PollsBucket] about a prediction. What is one of the Key…
// constants, the source must satisfy [CheckName]. Different ids never have the same key.
func PredictionKey(what, source, id string) string {
	return what + "." + source + "." + EncodeToken(id)
}

// First tokens of keys in [Names.PollsBucket].
const (
	// KeyPoll is the record of the polls of an open prediction; the rest of the key is as in
	// [PredictionKey].
	KeyPoll = "poll"
	// KeyOpen is the [PredictionState] of an open prediction whose events leave the stream
	// soon; the rest of the key is the same.
	KeyOpen = "open"
	// KeySubmit is the record of a submission; a digest of source and idempotency key
	// follows.
	KeySubmit = "submit"
	// KeyView is the [ViewPosition] of a view; a token that names the view follows.
	KeyView = "view"
	// KeyJob is a job of an operator; its id follows.
	KeyJob = "job"
)

// WatchRequests is the subject of requests to watch a prediction of the source; "*" covers
// every source.
func (n Names) WatchRequests(source string) string { return n.prefix() + ".watch." + source }

// Progress is the subject on which the progress of a prediction is published. Nothing is
// stored.
func (n Names) Progress(source, id string) string {
	return n.prefix() + ".progress." + source + "." + EncodeToken(id)
}

// AllProgress covers the subjects of [Names.Progress].
func (n Names) AllProgress() string { return n.prefix() + ".progress.>" }
