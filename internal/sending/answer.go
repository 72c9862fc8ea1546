package sending

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// How an attempt ended that got no answer.
var (
	ErrNoConnection = errors.New("no connection")
	ErrNoAnswer     = errors.New("no answer")
	ErrLost         = errors.New("connection lost")
)

// Answer is what a webhook was answered.
type Answer struct {
	Status int
	Body   []byte
}

// Result returns what a 200 of a bridge says: the result, and the event's id.
func (a Answer) Result() (result, id string, err error) {
	var said struct {
		Result string `json:"result"`
		ID     string `json:"id"`
	}
	if err := json.Unmarshal(a.Body, &said); err != nil {
		return "", "", fmt.Errorf("reading the answer %d %.100q: %w", a.Status, a.Body, err)
	}
	return said.Result, said.ID, nil
}

// Outcome returns what a 200 of a bridge says, or in a few words why there was none: a status,
// or how the attempt ended. The words are those of a small set, so that they can be counted.
func Outcome(a Answer, err error) (result, id, why string) {
	for _, ended := range []error{ErrNoConnection, ErrNoAnswer, ErrLost} {
		if errors.Is(err, ended) {
			return "", "", ended.Error()
		}
	}
	switch {
	case err != nil:
		return "", "", "no request"
	case a.Status != http.StatusOK:
		return "", "", strconv.Itoa(a.Status)
	}
	if result, id, err = a.Result(); err != nil {
		return "", "", "unreadable answer"
	}
	return result, id, ""
}
