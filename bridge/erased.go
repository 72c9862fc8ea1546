package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Erased is the body of an event of [KindErased]: a prediction was erased here, and others that
// keep something of it are to erase it too. It holds nothing of the prediction but a hash. The
// event's PredictionID is the hash as well.
type Erased struct {
	Source string `json:"source"`
	// Hash is that of [ErasedHash].
	Hash     string    `json:"hash"`
	ErasedAt time.Time `json:"erased_at"`
}

// ErasedHash is by what an erased prediction is known: the lower-case hex SHA-256 of the
// source's name, a slash and the prediction's id. No source has a slash in its name.
func ErasedHash(source, prediction string) string {
	sum := sha256.Sum256([]byte(source + "/" + prediction))
	return hex.EncodeToString(sum[:])
}

// OriginErase is that of an event of [KindErased].
const OriginErase = "erase"

// Event returns the event of [KindErased]. To tell of the same prediction again is the same
// event. The model is the prediction's, for the subject; it may be empty.
func (e Erased) Event(model string) (*Event, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("telling that a prediction was erased: %w", err)
	}
	return &Event{
		ID: NewEventID(e.Hash, string(Erasure), []byte(e.Source)), Source: e.Source, Type: TypeErased, PredictionID: e.Hash, Model: model,
		Status: string(Erasure), Origin: OriginErase, Time: e.ErasedAt, ReceivedAt: e.ErasedAt, ContentType: "application/json", Body: body,
	}, nil
}

// ErasedBucket is the bucket of the hashes of erased predictions.
func (n Names) ErasedBucket() string { return n.upper("_ERASED") }

// ErasedStream is the stream behind [Names.ErasedBucket].
func (n Names) ErasedStream() string { return "KV_" + n.ErasedBucket() }

// ErasedSubject is the subject of a hash in [Names.ErasedBucket], or of all that match a
// pattern.
func (n Names) ErasedSubject(hash string) string { return "$KV." + n.ErasedBucket() + "." + hash }
