package ingress

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// An authentic sender gets one of few answers for any body, and a 200 only for what was
// published or kept.
func FuzzSignedBody(f *testing.F) {
	f.Add([]byte(body("pred_1")))
	f.Add([]byte(`{"id":"a","status":"failed","completed_at":"2020-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"id":"a","status":"odd one","model":"a//b","outputs":{"x":[null,1e400]},"error":{"a":"\ud83d\ude00"}}`))
	f.Add([]byte("{\"id\":\"\x00\r\n\",\"status\":\" \"}"))
	f.Add([]byte("[]"))
	b := start(f, Config{MaxBody: 64 << 10, MaxInFlightBytes: 128 << 10})
	f.Fuzz(func(t *testing.T, text []byte) {
		before := len(b.pub.published())
		keptBefore, _ := b.keep.all()
		res := do(t, request(t, b.url+"/webhooks/get3w", string(text)))
		require.Contains(t, []int{200, 413}, res.status, res.text)
		after := b.pub.published()
		kept, _ := b.keep.all()
		if res.status != 200 || res.json["result"] == "quarantined" {
			require.Len(t, after, before)
			require.Equal(t, res.status == 200, len(kept) == len(keptBefore)+1)
			return
		}
		require.Len(t, kept, len(keptBefore))
		require.Len(t, after, before+1)
		require.Equal(t, text, after[before].Body)
		require.Equal(t, after[before].ID, res.json["id"])
	})
}
