package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Two listeners on one address, of which serve could begin one.
func TestListenersOfOneAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ingress: {listen: \":8081\"}\n":                                               "ingress.listen: admin.listen is 127.0.0.1:8081",
		"ingress: {listen: \"127.0.0.1:4222\"}\n":                                      "ingress.listen: nats.listen is 127.0.0.1:4222",
		"admin: {listen: \"127.0.0.1:9\"}\nnats: {listen: \"0.0.0.0:9\"}\n":            "nats.listen: admin.listen is 127.0.0.1:9",
		"ingress: {listen: \"127.0.0.2:9\"}\nadmin: {listen: \"127.0.0.1:9\"}\n":       "",
		"ingress: {listen: \":0\"}\nadmin: {listen: \":0\"}\nnats: {listen: \":0\"}\n": "",
		"admin: {listen: \"127.0.0.1:4222\"}\n":                                        "", // NATS gives way
		"admin: {listen: \"\"}\ningress: {listen: \":8081\"}\n":                        "",
		"roles: [ingress]\ningress: {listen: \":8081\"}\n":                             "ingress.listen: admin.listen is 127.0.0.1:8081",
		"nats: {url: \"nats://x:4222\"}\ningress: {listen: \":4222\"}\n":               "",
	} {
		_, err := Load(write(t, text))
		if want == "" {
			require.NoError(t, err, text)
		} else {
			require.ErrorContains(t, err, want, text)
		}
	}
}
