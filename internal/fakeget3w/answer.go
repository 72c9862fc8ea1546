package fakeget3w

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// handler returns the answer, an [*apiError], or errAnswered.
type handler func(w http.ResponseWriter, r *http.Request) (any, error)

// errAnswered: the handler has written its answer itself.
var errAnswered = errors.New("answered")

// apiError is an error answer of the provider; its code is also the HTTP status.
type apiError struct {
	Code    int
	Message string
	// retryAfter is the value of the header Retry-After, in seconds.
	retryAfter int
}

func (e *apiError) Error() string { return strconv.Itoa(e.Code) + " " + e.Message }

func refuse(code int, format string, args ...any) error {
	return &apiError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// writer writes an answer in the form of one version of the API.
type writer func(w http.ResponseWriter, data any, failed *apiError)

// api returns h behind a check of the key.
func (p *Provider) api(h handler, write writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.knows(r.Header.Get("Authorization")) {
			p.count(func(t *Totals) { t.Refused++ })
			write(w, nil, &apiError{Code: http.StatusUnauthorized, Message: "Invalid API key"})
			return
		}
		data, err := h(w, r)
		failed, known := errors.AsType[*apiError](err)
		switch {
		case errors.Is(err, errAnswered):
			return
		case err != nil && !known:
			failed = &apiError{Code: http.StatusInternalServerError, Message: "internal error"}
		}
		if failed != nil {
			p.count(func(t *Totals) { t.Refused++ })
		}
		write(w, data, failed)
	})
}

// knows compares digests, so that the timing does not reveal the key's length.
func (p *Provider) knows(authorization string) bool {
	key, ok := strings.CutPrefix(authorization, "Bearer ")
	if len(p.cfg.Key) == 0 {
		return ok && key != ""
	}
	want, got := sha256.Sum256(p.cfg.Key), sha256.Sum256([]byte(key))
	return ok && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// envelope is the outer object of every v3 answer.
type envelope struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data"`
}

func writeV3(w http.ResponseWriter, data any, failed *apiError) {
	if failed != nil {
		write(w, failed, envelope{failed.Code, failed.Message, nil})
		return
	}
	write(w, nil, envelope{http.StatusOK, "success", data})
}

func writeV1(w http.ResponseWriter, data any, failed *apiError) {
	if failed != nil {
		write(w, failed, map[string]any{"code": failed.Code, "error": failed.Message})
		return
	}
	write(w, nil, data)
}

func write(w http.ResponseWriter, failed *apiError, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if failed != nil {
		if failed.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(failed.retryAfter))
		}
		w.WriteHeader(failed.Code)
	}
	_, _ = w.Write(encode(body))
}

// encode returns JSON in which '&' is not escaped.
func encode(v any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // only our own types, and JSON that was read before
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func (p *Provider) count(change func(*Totals)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.totals)
}
