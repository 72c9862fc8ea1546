package fakeget3w

import (
	"bytes"
	"image/png"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (b *bundle) get(address string, header ...string) answer {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	require.NoError(b.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	defer func() { _ = res.Body.Close() }()
	var body bytes.Buffer
	_, err = body.ReadFrom(res.Body)
	require.NoError(b.t, err)
	return answer{res.StatusCode, res.Header, body.String()}
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	const size = 100_000
	kinds := Extensions()
	b := setup(t, func(c *Config) { c.OutputBytes, c.Rules = size, []Rule{{Outputs: kinds}} })
	id := b.submit("get3w/flux-dev", `{}`)
	b.settle()
	outputs := b.seen(id).Outputs
	require.Len(t, outputs, len(kinds))
	for i, ext := range kinds {
		whole := b.get(outputs[i] + "?Expires=1&Signature=any")
		require.Equal(t, http.StatusOK, whole.status)
		require.Len(t, whole.body, size)
		require.Equal(t, media[ext].mediaType, whole.header.Get("Content-Type"))
		require.Equal(t, whole.body, b.get(outputs[i]).body)
		part := b.get(outputs[i], "Range", "bytes=4000-50000")
		require.Equal(t, http.StatusPartialContent, part.status)
		require.Equal(t, "bytes 4000-50000/100000", part.header.Get("Content-Range"))
		require.Equal(t, whole.body[4000:50001], part.body)
		require.Equal(t, part.header.Get("ETag"), whole.header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, b.get(outputs[i], "If-None-Match", whole.header.Get("ETag")).status)
		require.Equal(t, http.StatusOK, b.get(outputs[i], "Range", "bytes=4000-", "If-Range", `"another"`).status)
		if ext == ".png" {
			img, err := png.Decode(bytes.NewReader([]byte(whole.body)))
			require.NoError(t, err)
			require.Equal(t, 64, img.Bounds().Dx())
		}
	}
	require.NotEqual(t, b.get(outputs[0]).body, b.get(outputs[1]).body)
}

func TestOutputsThatAreNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Rules = []Rule{{Model: "never/*", NeverEvery: 1}, {Model: "fails/*", FailEvery: 1}} })
	done, never, failed := b.submit("a/b", `{}`), b.submit("never/a", `{}`), b.submit("fails/a", `{}`)
	b.settle()
	require.Equal(t, http.StatusOK, b.get(b.url+"/outputs/"+done+"-0.png").status)
	for _, name := range []string{done + "-1.png", done + "-0.mp4", done, "x", never + "-0.png", failed + "-0.png", "pred_1-0.png"} {
		require.Equal(t, http.StatusNotFound, b.get(b.url+"/outputs/"+name).status, name)
	}
}

// Seven days at this speed are a second; an output then expires and never comes back.
func TestOutputsExpire(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Speed, c.OutputLife = 600_000, 0 })
	id := b.submit("get3w/flux-dev", `{}`)
	b.ended(id)
	output := b.seen(id).Outputs[0]
	require.Eventually(t, func() bool { return b.get(output).status == http.StatusNotFound }, most, 10*time.Millisecond)
	require.GreaterOrEqual(t, time.Since(b.seen(id).CompletedAt), time.Second)
	require.Equal(t, http.StatusOK, b.call(http.MethodGet, "/api/v3/predictions/"+id, "").status, "the prediction is still known")
	require.Equal(t, http.StatusNotFound, b.get(output).status)
}

func TestSeed(t *testing.T) {
	t.Parallel()
	make3 := func(seed uint64) (ids, bodies []string) {
		b := setup(t, func(c *Config) { c.Seed = seed })
		for range 3 {
			id := b.submit("get3w/flux-dev", `{}`)
			b.ended(id)
			ids, bodies = append(ids, id), append(bodies, b.get(b.seen(id).Outputs[0]).body)
		}
		return ids, bodies
	}
	ids, bodies := make3(1)
	again, sameBodies := make3(1)
	others, _ := make3(2)
	require.Equal(t, ids, again)
	require.Equal(t, bodies, sameBodies)
	require.NotEqual(t, ids, others)
	require.NotEqual(t, bodies[0], bodies[1])
}
