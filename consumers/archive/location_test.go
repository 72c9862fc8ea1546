package archive

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPartSize(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, minPartSize, partSize(2<<30))
	for _, limit := range []int64{1, 48 << 30, 100 << 30, 5 << 40} {
		require.GreaterOrEqual(t, partSize(limit)*maxParts, limit)
	}
}

func TestRegion(t *testing.T) {
	newBucket(t)
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	c := Config{Location: Location{Bucket: "bucket"}, Hosts: []string{"x"}}
	_, err := New(c)
	require.ErrorContains(t, err, "the region is not known: add ?region=")
	c.Location.Region = "eu-central-1"
	a, err := New(c)
	require.NoError(t, err)
	require.NoError(t, a.Close())
}

func TestParseLocation(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Location{
		"file:///srv/archive/": {Dir: "/srv/archive"},
		"file:///a%20b?c#d":    {Dir: "/a%20b?c#d"},
		"s3://my.bucket":       {Bucket: "my.bucket"},
		"s3://bucket/":         {Bucket: "bucket"},
		"s3://bucket/a/b-c/?region=eu-west-1": {
			Bucket: "bucket", Prefix: "a/b-c", Region: "eu-west-1",
		},
		"s3://bucket?endpoint=https://h:9000/&path_style=1": {
			Bucket: "bucket", Endpoint: "https://h:9000", PathStyle: true,
		},
	} {
		got, err := ParseLocation(text, false)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{
		"", "file://", "file://rel", "/abs", "s3://", "s3:bucket", "s3://b", "gs://bucket", "s3://bucket/../x", "s3://bucket/a//b", "s3://bucket/.x",
		"s3://bucket/a b", "s3://bucket#x", "s3://key:secret@bucket", "s3://bucket?region=secret!", "s3://bucket?region=a&region=b",
		"s3://bucket?secret=secret", "s3://bucket?endpoint=secret", "s3://bucket?endpoint=https://u:secret@h", "s3://bucket?endpoint=ftp://secret",
		"s3://bucket?endpoint=http://h", "s3://bucket?path_style=secret", "s3://bucket?endpoint=https://h?secret", "s3://bucket?%zz",
	} {
		_, err := ParseLocation(text, false)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "secret!")
		require.NotContains(t, err.Error(), "secret@")
	}
	l, err := ParseLocation("s3://bucket?endpoint=http://h", true)
	require.NoError(t, err)
	require.Equal(t, "s3://bucket at http://h", l.String())
}

// The addresses of stores in the documentation are taken as they stand there.
func TestDocumentedStores(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	stores := regexp.MustCompile("(?m)^\\| ([A-Z][^|]*) \\| `(s3://[^`]*)` \\|$").FindAllStringSubmatch(string(page), -1)
	require.Len(t, stores, 1+len(strictStores))
	for _, s := range stores {
		l, err := ParseLocation(s[2], false)
		require.NoError(t, err, s[1])
		require.Equal(t, "bucket/prefix", l.Bucket+"/"+l.Prefix)
		name, _, _ := strings.Cut(s[1], ",")
		require.Equal(t, strictStores[name] != nil, l.Endpoint != "", "%s has a strict store in its place in the tests", name)
	}
}
