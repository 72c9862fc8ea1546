package bridge

// PredictionsConsumer names the durable by which the prediction store reads events, and the
// owner of its dead letters. No other consumer can have the name.
const PredictionsConsumer = "predictions"

// PredictionsBucket is the key-value bucket of the prediction store.
func (n Names) PredictionsBucket() string { return n.upper("_PREDICTIONS") }

// PredictionsStream is the stream behind [Names.PredictionsBucket].
func (n Names) PredictionsStream() string { return "KV_" + n.PredictionsBucket() }

// PredictionsSubject is the subject of one key of [Names.PredictionsBucket], or of all keys
// that match a pattern.
func (n Names) PredictionsSubject(key string) string {
	return "$KV." + n.PredictionsBucket() + "." + key
}

// PredictionKey is the prediction store's key for a prediction. What is one of the Key…
// constants, the source must satisfy [CheckName]. Different ids never have the same key.
func PredictionKey(what, source, id string) string {
	return what + "." + source + "." + EncodeToken(id)
}

// First tokens of keys in [Names.PredictionsBucket].
const (
	KeyEntry = "entry" // a [PredictionState]; the rest of the key is as in [PredictionKey]
	KeyOpen  = "open"  // the poll record of an open prediction; the rest of the key is the same
	// KeySubmit is the record of a submission; a digest of source and idempotency key
	// follows. A rebuild does not make these records again.
	KeySubmit = "submit"
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
