package forward

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/pasted"
)

const (
	secretPrefix = "whsec_"
	// minSecret is the least length of a key by the Standard Webhooks specification, in bytes.
	minSecret = 24
)

// CheckSecret returns an error unless secret can sign. A secret that begins with whsec_ is
// base64 of the key, by the Standard Webhooks specification; any other is the key itself, byte
// for byte. The key has 24 bytes or more. Characters that were pasted along, such as quotes, are
// an error. The error repeats nothing of the secret.
func CheckSecret(secret []byte) error {
	_, err := parseSecret(secret)
	return err
}

// notSymmetric are the prefixes of signatures, and of keys for the asymmetric signatures of
// Standard Webhooks.
var notSymmetric = []string{"whsk_", "whpk_", "v1,", "v1a,"}

func parseSecret(secret []byte) ([]byte, error) {
	if err := pasted.Check(secret); err != nil {
		return nil, fmt.Errorf("the secret cannot be used: %w", err)
	}
	for _, prefix := range notSymmetric {
		if bytes.HasPrefix(secret, []byte(prefix)) {
			return nil, fmt.Errorf("the secret begins with %s, so it is a signature or the key of another algorithm: write the one that begins with %s", prefix, secretPrefix)
		}
	}
	key := bytes.Clone(secret)
	if text, ok := bytes.CutPrefix(secret, []byte(secretPrefix)); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(string(text)); err != nil {
			return nil, fmt.Errorf("what follows %s in the secret is no base64: write it as the service has it", secretPrefix)
		}
	}
	if len(key) < minSecret {
		return nil, fmt.Errorf("the secret is shorter than %d bytes: make one with: echo %s$(openssl rand -base64 32)", minSecret, secretPrefix)
	}
	return key, nil
}

func parseSecrets(secrets [][]byte) (*[][]byte, error) {
	if len(secrets) == 0 {
		return nil, errors.New("there is no secret: requests are signed, so name one")
	}
	keys := make([][]byte, len(secrets))
	for i, secret := range secrets {
		var err error
		if keys[i], err = parseSecret(secret); err != nil {
			return nil, err
		}
	}
	return &keys, nil
}

// webhookID makes the id that is signed out of the message id of an event. The signature is over
// id.timestamp.body, so an id without a dot leaves one way to read it: nobody can cut the same
// bytes into another id, time and body.
func webhookID(encoded string) string { return strings.ReplaceAll(encoded, ".", "%2E") }

func sign(keys [][]byte, id string, at time.Time, body []byte) (timestamp, signature string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	begin := []byte(id + "." + timestamp + ".")
	var out, sum []byte
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write(begin)
		mac.Write(body)
		sum = mac.Sum(sum[:0])
		if i > 0 {
			out = append(out, ' ')
		}
		out = base64.StdEncoding.AppendEncode(append(out, "v1,"...), sum)
	}
	return timestamp, string(out)
}
