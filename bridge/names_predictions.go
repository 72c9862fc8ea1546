package bridge

// PredictionsConsumer is the name of the durable by which the prediction store reads
// events, and under which its dead letters lie. No other consumer can have it.
const PredictionsConsumer = "predictions"

// PredictionsBucket is the key-value bucket of the prediction store.
func (n Names) PredictionsBucket() string { return n.upper("_PREDICTIONS") }

// PredictionsStream is the stream behind [Names.PredictionsBucket].
func (n Names) PredictionsStream() string { return "KV_" + n.PredictionsBucket() }

// PredictionsSubject is the subject of one key of [Names.PredictionsBucket], or of all
// that match it.
func (n Names) PredictionsSubject(key string) string {
	return "$KV." + n.PredictionsBucket() + "." + key
}

// PredictionKey is the key under which the prediction store keeps something of the prediction:
// what is one of the Key… constants, the source must satisfy [CheckName]. Two
// different ids never have the same key.
func PredictionKey(what, source, id string) string {
	return what + "." + source + "." + EncodeToken(id)
}

// What the prediction store keeps, first tokens of keys in [Names.PredictionsBucket].
const (
	KeyEntry = "entry" // a [PredictionState]; the key goes on as in [PredictionKey]
	KeyOpen  = "open"  // that it has no end yet, and how often it was asked for; likewise
	// KeySubmit is what became of a submission; the key goes on with a digest of source
	// and idempotency key. It is no part of what a rebuild makes again.
	KeySubmit = "submit"
)

// WatchRequests is the subject of requests to watch a prediction of the source, or
// with "*" of any.
func (n Names) WatchRequests(source string) string { return n.prefix() + ".watch." + source }

// Progress is the subject on which is told how far a prediction is, to whoever listens
// then. Nothing is kept of it.
func (n Names) Progress(source, id string) string {
	return n.prefix() + ".progress." + source + "." + EncodeToken(id)
}

// AllProgress is the subject pattern of [Names.Progress].
func (n Names) AllProgress() string { return n.prefix() + ".progress.>" }
