// Package signing signs webhooks as Get3W documents it: one header holds the hex
// HMAC-SHA256 of the raw body. The receiving and every sending side share it.
package signing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Header is the canonical HTTP name of the header that holds the signature.
const Header = "X-Get3w-Signature"

// Length is the length of every signature, in bytes.
const Length = 2 * sha256.Size

// Sign returns the signature of body. The bytes of secret are used as they are given,
// without decoding them.
func Sign(body, secret []byte) string { return hex.EncodeToString(mac(body, secret)) }

// Verify reports whether one of the secrets made the signature of body. It tries all
// of them, so the time that it takes does not tell which one fits; without secrets it
// returns false.
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
