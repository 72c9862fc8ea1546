// Package signing signs webhooks as Get3W documents it: one header has the hex HMAC-SHA256 of
// the raw body.
package signing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Header is the canonical HTTP name of the signature's header.
const Header = "X-Get3w-Signature"

// Length is the length of a signature in bytes.
const Length = 2 * sha256.Size

// Sign returns the signature of body. It uses the bytes of secret as they are, without
// decoding.
func Sign(body, secret []byte) string { return hex.EncodeToString(mac(body, secret)) }

// Verify reports whether one of the secrets made the signature of body. It tries all of them,
// so its time does not tell which one fits; without secrets it returns false.
func Verify(signature string, body []byte, secrets ...[]byte) bool {
	got, err := hex.DecodeString(signature)
	if err != nil || len(signature) != Length {
		return false
	}
	ok := false
	for _, secret := range secrets {
		if hmac.Equal(mac(body, secret), got) {
			ok = true
		}
	}
	return ok
}

func mac(body, secret []byte) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write(body)
	return m.Sum(nil)
}
