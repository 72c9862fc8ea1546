package archive

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/freshconn"
)

// Downloads and the bucket are asked on connections that have an age.
func TestConnectionsHaveAnAge(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	at, err := ParseLocation("s3://bucket?region=eu-central-1", false)
	require.NoError(t, err)
	objects, err := openObjects(t.Context(), Config{Location: at})
	require.NoError(t, err)
	require.IsType(t, &freshconn.Transport{}, objects.http.Transport)
	require.Same(t, objects.http, objects.client.Options().HTTPClient.(*http.Client))
	require.NoError(t, objects.close())
}
