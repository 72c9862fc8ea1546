package client

import (
	"context"
	"net/http"
	"net/url"
)

// maxAsked bounds an answer, in bytes: one entry takes less as JSON.
const maxAsked = 64 << 20

// Ask gets a path of the API with its query, such as /api/v1/status, and decodes the answer
// into out. The bridge's /api/openapi.yaml has the paths and the answers. The error is an
// [*Error] when the bridge answered with another status than 200. It is safe for concurrent
// use, and does not try again.
func (c *Client) Ask(ctx context.Context, path string, query url.Values, out any) error {
	return c.call(ctx, http.MethodGet, path, query, nil, nil, maxAsked, out)
}
