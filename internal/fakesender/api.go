package fakesender

import (
	"net/http"
	"strings"
)

// senders has every kind.
var senders = []Sender{
	get3w(), get3wV1(), wavespeed(),
	standard(), replicate(), openai(), gemini(),
	generic(), bfl(), baseten(), elevenlabs(), github(),
	fal(),
	sharedSecretKind(), assemblyai(), deepgram(), cerebrium(),
	confirmKind(), runpod(), luma(), kling(), kie(),
	pollKind(), runway(), stability(),
}

// KeysPath is where a sender that has keys of its own serves the public ones.
const KeysPath = "/.well-known/jwks.json"

// API returns the provider's API, which answers about the predictions that find returns; one that
// runs has the status processing. Secret is that of [Sender.Sign]. It takes any key.
func (s *Sender) API(secret []byte, find func(id string) (Prediction, bool)) http.Handler {
	mux := http.NewServeMux()
	if s.scheme.secretless {
		mux.HandleFunc("GET "+KeysPath, func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, keySet(secret)) })
	}
	if s.answer == nil {
		return mux
	}
	path, parameter, asked := strings.Cut(s.path, "?")
	parameter = strings.TrimSuffix(parameter, "=")
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		if asked {
			id = r.URL.Query().Get(parameter)
		}
		p, known := find(id)
		key, right := strings.CutPrefix(r.Header.Get(s.key[0]), s.key[1])
		switch {
		case !right || key == "":
			write(w, http.StatusUnauthorized, encode(object{"message": "no key in " + s.key[0]}))
		case !known:
			write(w, http.StatusNotFound, encode(object{"message": "there is no such prediction"}))
		case p.Status == running && s.open != 0:
			write(w, s.open, encode(object{"id": id, "status": "in-progress"}))
		case p.Status == failed && s.failure != 0:
			write(w, s.failure, s.Answer(p))
		case s.enveloped:
			write(w, http.StatusOK, encode(object{"code": http.StatusOK, "message": "success", "data": s.answer(p, s.word(p.Status))}))
		default:
			write(w, http.StatusOK, s.Answer(p))
		}
	})
	return mux
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
