package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/consumers"
)

// bucket is an object store in this process, over HTTP. Before may answer in its place.
type bucket struct {
	srv    *httptest.Server
	mu     sync.Mutex
	before func(w http.ResponseWriter, r *http.Request) bool
	calls  []string
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	return newBucketAt(t, func(h http.HandlerFunc) *httptest.Server { return serve(t, h) })
}

// newBucketAt is a bucket on the server that start starts.
func newBucketAt(t *testing.T, start func(http.HandlerFunc) *httptest.Server) *bucket {
	t.Helper()
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("bucket"))
	fake := gofakes3.New(backend).Server()
	b := &bucket{}
	b.srv = start(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		before := b.before
		b.calls = append(b.calls, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/bucket/"))
		b.mu.Unlock()
		if before == nil || !before(w, r) {
			fake.ServeHTTP(w, r)
		}
	})
	return b
}

func (b *bucket) location(t *testing.T) Location {
	t.Helper()
	l, err := ParseLocation("s3://bucket/some/prefix/?path_style=true&endpoint="+b.srv.URL, true)
	require.NoError(t, err)
	return l
}

func (b *bucket) open(t *testing.T) *objects {
	t.Helper()
	s, err := openObjects(t.Context(), Config{Location: b.location(t)}.withDefaults())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.close()) })
	return s
}

// uploads are those that were begun and neither finished nor removed.
func (b *bucket) uploads(t *testing.T) int {
	t.Helper()
	out, err := b.open(t).client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("bucket")})
	if err != nil && strings.Contains(err.Error(), "NoSuchUpload") {
		return 0 // what the fake says while there was none at all
	}
	require.NoError(t, err)
	return len(out.Uploads)
}

func (b *bucket) answer(before func(w http.ResponseWriter, r *http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before = before
}

func (b *bucket) asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

func setupS3(t *testing.T, change func(*Config)) (*bundle, *bucket) {
	t.Helper()
	store := newBucket(t)
	return setup(t, func(c *Config) {
		c.Location = store.location(t)
		if change != nil {
			change(c)
		}
	}), store
}

const s3Folder = "get3w/2026/01/02/p"

func (b *bundle) object(t *testing.T, key string) string {
	t.Helper()
	data, err := b.files.get(t.Context(), key)
	require.NoError(t, err)
	return string(data)
}

func TestArchiveInABucket(t *testing.T) {
	t.Parallel()
	large := sample(2*minPartSize + 1)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "video/mp4")
		switch r.URL.Path {
		case "/large":
			_, _ = w.Write(large)
		case "/page.mp4":
			_, _ = io.WriteString(w, page)
		default:
			_, _ = io.WriteString(w, png)
		}
	})
	p := &told{}
	b, store := setupS3(t, func(c *Config) { c.Publish = p.publish })
	ev := newEvent("p", srv.URL+"/a.png", srv.URL+"/large", srv.URL+"/page.mp4", "text")
	require.NoError(t, b.handle(ev))
	list, err := b.files.names(t.Context(), s3Folder)
	require.NoError(t, err)
	require.Equal(t, []string{"0.png", "1.mp4", "2.html", "3.txt", eventName, signatureName, manifestName}, list)
	require.Equal(t, string(ev.Body), b.object(t, s3Folder+"/event.json"))
	require.Equal(t, string(large), b.object(t, s3Folder+"/1.mp4"))

	m, err := decodeManifest([]byte(b.object(t, s3Folder+"/manifest.json")))
	require.NoError(t, err)
	client := store.open(t).client
	for _, o := range m.Outputs {
		data := b.object(t, o.Key)
		sum := sha256.Sum256([]byte(data))
		require.Equal(t, hex.EncodeToString(sum[:]), o.SHA256)
		require.EqualValues(t, len(data), o.Bytes)
		head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("bucket"), Key: aws.String("some/prefix/" + o.Key)})
		require.NoError(t, err)
		require.Equal(t, o.ContentType, aws.ToString(head.ContentType))
		if o.N != 1 { // which was larger than what is known before it is sent
			require.Equal(t, o.SHA256, head.Metadata[sumKey])
		}
		require.Equal(t, o.N == 2, aws.ToString(head.ContentDisposition) == "attachment")
	}
	calls := store.asked()
	require.Equal(t, "PUT some/prefix/"+s3Folder+"/manifest.json", lastPut(calls), "the manifest is last")

	a := archivedOf(t, p.events[0])
	require.Equal(t, "s3://bucket/some/prefix/"+s3Folder+"/0.png", a.Outputs[0].URL)
	require.Equal(t, "s3://bucket/some/prefix/"+s3Folder+"/manifest.json", a.Manifest)

	// Handled again it stores nothing.
	require.NoError(t, b.handle(ev))
	for _, call := range store.asked()[len(calls):] {
		require.True(t, strings.HasPrefix(call, "GET"), call)
	}
	require.Equal(t, p.events[0], p.events[1])
}

func lastPut(calls []string) (last string) {
	for _, call := range calls {
		if strings.HasPrefix(call, "PUT ") {
			last = call
		}
	}
	return last
}

// A source that breaks off while it is uploaded is asked for the rest, and the upload goes on.
func TestUploadGoesOn(t *testing.T) {
	t.Parallel()
	f := &flaky{data: sample(resumed / 2), etag: `"1"`, cut: resumed / 6, cuts: 2}
	srv := serve(t, f.ServeHTTP)
	b, store := setupS3(t, nil)
	require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.mp4")))
	require.Len(t, f.asked(), 3)
	require.True(t, bytes.Equal(f.data, []byte(b.object(t, s3Folder+"/0.mp4"))))
	uploads := 0
	for _, call := range store.asked() {
		if strings.HasPrefix(call, "POST") {
			uploads++
		}
	}
	require.Equal(t, 2, uploads, "one is begun, and finished")
}

// A failed upload leaves nothing: neither half an object nor parts that are invisible and cost
// money.
func TestBrokenUploadLeavesNothing(t *testing.T) {
	t.Parallel()
	f := &flaky{data: sample(3 * minPartSize), cut: 2*minPartSize + half, cuts: 1}
	srv := serve(t, f.ServeHTTP)
	b, store := setupS3(t, nil)
	ev := newEvent("p", srv.URL+"/a.mp4")
	require.ErrorContains(t, b.handle(ev), "unexpected EOF")
	list, err := b.files.names(t.Context(), s3Folder)
	require.NoError(t, err)
	require.Equal(t, []string{eventName, signatureName}, list)
	require.Zero(t, store.uploads(t))
	require.NoError(t, b.handle(ev))
	require.True(t, bytes.Equal(f.data, []byte(b.object(t, s3Folder+"/0.mp4"))))

	// Nor of one that is stopped.
	sent := make(chan struct{})
	f = &flaky{data: f.data, etag: `"1"`, cut: 2*minPartSize + half, cuts: 1, sent: sent}
	srv = serve(t, f.ServeHTTP)
	cause := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-sent
		cancel(cause)
	}()
	require.Equal(t, cause, b.Handle(ctx, newEvent("q", srv.URL+"/a.mp4")))
	require.Zero(t, store.uploads(t))
	_, err = b.files.get(t.Context(), "get3w/2026/01/02/q/0.mp4")
	require.Error(t, err)
}

// Nor of one that is stopped while the store begins it.
func TestStopWhileAnUploadBegins(t *testing.T) {
	t.Parallel()
	f := &flaky{data: sample(3 * minPartSize), etag: `"1"`}
	srv := serve(t, f.ServeHTTP)
	b, store := setupS3(t, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("stopping")
	store.answer(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && r.URL.Query().Has("uploads") {
			cancel(cause)
		}
		return false
	})
	require.Equal(t, cause, b.Handle(ctx, newEvent("p", srv.URL+"/a.mp4")))
	require.Zero(t, store.uploads(t))
}

// A store that does not answer, or refuses, fails the attempt and no output.
func TestStoreIsAway(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2*minPartSize)) })
	for name, before := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"nothing": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
		"the output": func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/0.bin") {
				w.WriteHeader(http.StatusForbidden)
				return true
			}
			return false
		},
		"its second part": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("partNumber") == "2" {
				w.WriteHeader(http.StatusInternalServerError)
				return true
			}
			return false
		},
		"the manifest": func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, manifestName) {
				panic(http.ErrAbortHandler)
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &told{}
			b, store := setupS3(t, func(c *Config) { c.Publish = p.publish })
			store.answer(before)
			ev := newEvent("p", srv.URL)
			err := b.handle(ev)
			require.Error(t, err)
			require.False(t, consumers.IsPermanent(err))
			require.NotContains(t, err.Error(), "secret-of-the-store")
			require.Empty(t, p.events)
			store.answer(nil)
			require.Zero(t, store.uploads(t))
			require.NoError(t, b.handle(ev))
			require.Len(t, p.events, 1)
			require.Len(t, b.object(t, s3Folder+"/0.bin"), 2*minPartSize)
		})
	}
}

// Another process stores the same output at the same time.
func TestObjectIsThereAlready(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 2 * minPartSize} {
		b, store := setupS3(t, nil)
		theirs := sample(size)
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if err := store.open(t).put(t.Context(), file{key: s3Folder + "/0.png"}, true, theirs); err != nil {
				t.Error(err)
			}
			_, _ = w.Write(make([]byte, size))
		})
		if size > minPartSize { // of which the fake does not know the condition
			store.answer(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost || !r.URL.Query().Has("uploadId") {
					return false
				}
				if r.Header.Get("If-None-Match") != "*" {
					t.Errorf("the upload is finished without a condition")
				}
				w.WriteHeader(http.StatusPreconditionFailed)
				_, _ = io.WriteString(w, `<Error><Code>PreconditionFailed</Code></Error>`)
				return true
			})
		}
		require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.png")))
		require.Equal(t, string(theirs), b.object(t, s3Folder+"/0.png"))
		m, err := decodeManifest([]byte(b.object(t, s3Folder+"/manifest.json")))
		require.NoError(t, err)
		sum := sha256.Sum256(theirs)
		require.Equal(t, hex.EncodeToString(sum[:]), m.Outputs[0].SHA256)
		require.Zero(t, store.uploads(t))
	}
}

// A store that does not know conditions is used without them.
func TestStoreWithoutConditions(t *testing.T) {
	t.Parallel()
	b, store := setupS3(t, nil)
	store.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("If-None-Match") == "" {
			return false
		}
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = io.WriteString(w, `<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented</Message></Error>`)
		return true
	})
	require.NoError(t, b.handle(newEvent("p", "one", "two")))
	require.Equal(t, "two", b.object(t, s3Folder+"/1.txt"))

	// Two events of one prediction still do not share a folder.
	other := newEvent("p", "three")
	require.NoError(t, b.handle(other))
	require.Equal(t, "one", b.object(t, s3Folder+"/0.txt"))
}

// Stored outputs are measured again after a failure, and damage is found.
func TestRedriveInABucket(t *testing.T) {
	t.Parallel()
	gone := true
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b" && gone {
			w.WriteHeader(http.StatusGone)
			return
		}
		_, _ = io.WriteString(w, r.URL.Path)
	})
	b, store := setupS3(t, nil)
	ev := newEvent("p", srv.URL+"/a.png", srv.URL+"/b.png", srv.URL+"/b")
	require.True(t, consumers.IsPermanent(b.handle(ev)))
	s := store.open(t)
	require.NoError(t, s.put(t.Context(), file{key: s3Folder + "/0.png"}, true, []byte("/A")))
	gone = false
	require.ErrorContains(t, b.handle(ev), "0.png is not what its manifest says")
	_, err := s.remove(t.Context(), s3Folder+"/0.png")
	require.NoError(t, err)
	require.NoError(t, b.handle(ev))
	require.Equal(t, "/a.png", b.object(t, s3Folder+"/0.png"))
}

func TestManyNames(t *testing.T) {
	t.Parallel()
	s := newBucket(t).open(t)
	for i := range 1005 { // more than one page
		require.NoError(t, s.put(t.Context(), file{key: fmt.Sprintf("a/%d.txt", i)}, false, []byte("x")))
	}
	require.NoError(t, s.put(t.Context(), file{key: "a.b/0.txt"}, false, []byte("x")))
	list, err := s.names(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, list, 1005)
	size, err := s.size(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1006, size)
}
