package app

import (
	"net/http"

	"github.com/hookspan/hookspan/bridge/source"
)

// Sign returns the headers by which a source of the kind knows the body of a webhook
// that somebody with the secret has sent. The error names the kinds there are.
func Sign(kind string, body, secret []byte) (http.Header, error) {
	k, err := source.KindOf(kind)
	if err != nil {
		return nil, err
	}
	return http.Header(k.Sign(body, secret)), nil
}
