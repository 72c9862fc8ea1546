package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// Neither a sender of webhooks nor a client of the embedded NATS can break a line of the log or
// control the terminal that shows it. Stored messages stay as they were sent.
func TestForeignTextInTheLog(t *testing.T) {
	t.Parallel()
	hostile := []string{"a\u009b31mred", "x\u2028{\"level\":\"error\",\"msg\":\"forged\"}", "y\u0085z", "d\x7f", "\u202egnp", "\u2029"}
	for _, format := range []string{"json", "console"} {
		t.Run(format, func(t *testing.T) {
			p := serveHere(t, "log: {level: debug, format: "+format+"}\n"+smallConfig)
			bodies := map[string]bool{}
			for _, id := range hostile {
				body, err := json.Marshal(map[string]string{"id": id, "model": "m/" + id, "status": "processing"})
				require.NoError(t, err)
				text := strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029").Replace(string(body)) // raw, as any sender may write them
				status, answer := p.post(text)
				require.Equal(t, 200, status, answer)
				bodies[text] = true
				_, err = nats.Connect(p.ready.NATS, nats.UserInfo("user"+id, "x"), nats.Name("name"+id))
				require.Error(t, err)
			}
			for _, m := range p.events() {
				require.True(t, bodies[string(m.Data())], "%q", m.Data())
			}
			require.Zero(t, p.stop())
			logs := p.logs.String()
			require.Contains(t, logs, `a\u009b31mred`)
			require.Contains(t, logs, "authentication error", "the NATS server said so")
			for _, r := range logs {
				require.True(t, unicode.IsPrint(r) || r == '\n' || r == '\t', "%U is in the log", r)
			}
		})
	}
}
