package provider

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/source"
)

// The model of a prediction, which a stranger may have written, counts only where the path names it.
func TestResultPath(t *testing.T) {
	t.Parallel()
	plain := []source.ResultPath{{Prefix: "batch_", Path: "/batches/{id}"}, {Path: "/get?task={id}"}}
	named := []source.ResultPath{{Path: "/{app}/requests/{id}"}}
	for _, c := range []struct {
		paths           []source.ResultPath
		id, model, want string
	}{
		{plain, "batch_1", "", "/batches/batch_1"},
		{plain, "a/b?c&d", "", "/get?task=a%2Fb%3Fc%26d"},
		{plain, "1", "predictions/../odd//model", "/get?task=1"},
		{named, "1", "fal-ai/flux/dev", "/fal-ai/flux/requests/1"},
		{named, "1", "predictions/x", ""},
		{named, "1", "", ""},
		{nil, "1", "", ""},
	} {
		path, err := resultPath(c.paths, c.id, c.model)
		require.Equal(t, c.want, path)
		require.Equal(t, c.want == "", err != nil, err)
	}
}
