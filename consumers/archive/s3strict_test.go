package archive

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/stretchr/testify/require"
)

// refusal is the error that a store answers with.
type refusal struct {
	status        int
	code, message string
}

// strictRule says why a store does not take a request, or nil.
type strictRule func(r *http.Request, body []byte) *refusal

// strictStores are the known stores that speak like S3, each as strict as it is.
var strictStores = map[string]func() strictRule{
	// Its front ends append to Accept-Encoding before the signature is verified; it
	// knows neither the framing of aws-chunked nor If-None-Match for what is written.
	"Google Cloud Storage": func() strictRule {
		return func(r *http.Request, _ []byte) *refusal {
			if name := newer(r); name != "" {
				return &refusal{400, "InvalidArgument", "Invalid argument: " + name}
			}
			r.Header.Set("Accept-Encoding", r.Header.Get("Accept-Encoding")+",gzip(gfe)")
			return unconditional(r)
		}
	},
	// It wants every part but the last to be of one length.
	"Cloudflare R2": func() strictRule {
		var mu sync.Mutex
		lengths := map[string]int{}
		return func(r *http.Request, body []byte) *refusal {
			mu.Lock()
			defer mu.Unlock()
			if name := newer(r); name != "" {
				return &refusal{501, "NotImplemented", "Header '" + name + "' with value '" + r.Header.Get(name) + "' not implemented"}
			}
			if upload := r.URL.Query().Get("uploadId"); r.Method == http.MethodPut && upload != "" {
				first, ok := lengths[upload]
				if !ok {
					lengths[upload] = len(body)
				} else if len(body) > first {
					return &refusal{400, "InvalidPart", "All non-trailing parts must have the same length."}
				}
			}
			return nil
		}
	},
	"Backblaze B2": func() strictRule {
		return func(r *http.Request, _ []byte) *refusal {
			if name := newer(r); name != "" {
				return &refusal{400, "InvalidArgument", "Unsupported header '" + name + "' received for this API call."}
			}
			return unconditional(r)
		}
	},
	// The bucket locks its objects by default.
	"MinIO": func() strictRule {
		return func(r *http.Request, _ []byte) *refusal {
			if r.Method == http.MethodPut && r.Header.Get("Content-MD5") == "" && newer(r) == "" {
				return &refusal{400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"}
			}
			return nil
		}
	},
	"Ceph":   func() strictRule { return withoutChecksums },
	"Wasabi": func() strictRule { return withoutChecksums },
}

func withoutChecksums(r *http.Request, _ []byte) *refusal {
	if name := newer(r); name != "" {
		return &refusal{501, "NotImplemented", "A header you provided implies functionality that is not implemented: " + name}
	}
	return nil
}

func unconditional(r *http.Request) *refusal {
	if r.Header.Get("If-None-Match") != "" {
		return &refusal{501, "NotImplemented", "A header you provided implies functionality that is not implemented."}
	}
	return nil
}

// newer is the header of the request that belongs to the checksums of newer SDKs.
func newer(r *http.Request) string {
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-checksum-") || strings.HasPrefix(lower, "x-amz-sdk-checksum") || lower == "x-amz-trailer" ||
			lower == "content-encoding" || strings.HasPrefix(values[0], "STREAMING-") {
			return lower
		}
	}
	return ""
}

var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=key/\d{8}/([^/]+)/s3/aws4_request, SignedHeaders=([^,]+), Signature=[0-9a-f]{64}$`)

// verified reports whether the request is signed as it arrived, and its body is what its
// checksums say.
func verified(r *http.Request, body []byte) *refusal {
	wrong := &refusal{403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method."}
	m := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if m == nil || err != nil {
		return wrong
	}
	again, err := http.NewRequestWithContext(context.Background(), r.Method, "https://"+r.Host+r.URL.RequestURI(), nil)
	if err != nil {
		return wrong
	}
	signed := strings.Split(m[2], ";")
	for _, name := range signed {
		switch name {
		case "host":
		case "content-length":
			again.ContentLength = r.ContentLength
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	for name := range r.Header { // SigV4 wants these signed
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") && !slices.Contains(signed, lower) {
			return wrong
		}
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	err = signer.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret-of-the-store"}, again, payload, "s3", m[1], at)
	if err != nil || again.Header.Get("Authorization") != r.Header.Get("Authorization") {
		return wrong
	}
	if sum := sha256.Sum256(body); payload != "UNSIGNED-PAYLOAD" && payload != hex.EncodeToString(sum[:]) {
		return &refusal{400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."}
	}
	sum := md5.Sum(body)
	if claim := r.Header.Get("Content-MD5"); claim != "" && claim != base64.StdEncoding.EncodeToString(sum[:]) {
		return &refusal{400, "BadDigest", "The Content-MD5 you specified did not match what we received."}
	}
	return nil
}

// newStrictBucket is a bucket over TLS, where SDKs sign and sum otherwise than in clear,
// whose store takes only what rule does.
func newStrictBucket(t *testing.T, rule strictRule) *bucket {
	t.Helper()
	b := newBucketAt(t, func(h http.HandlerFunc) *httptest.Server {
		srv := httptest.NewTLSServer(h)
		t.Cleanup(srv.Close)
		roots := filepath.Join(t.TempDir(), "roots.pem")
		require.NoError(t, os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600))
		t.Setenv("AWS_CA_BUNDLE", roots)
		return srv
	})
	b.answer(func(w http.ResponseWriter, r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return false
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		no := rule(r, body)
		if no == nil {
			no = verified(r, body)
		}
		if no == nil {
			return false
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(no.status)
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", no.code, no.message)
		return true
	})
	return b
}

// useStore archives outputs of every size, reads, counts and removes them.
func useStore(t *testing.T, c func(*Config)) {
	t.Helper()
	large := sample(2*minPartSize + 1)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large.mp4" {
			_, _ = w.Write(large)
			return
		}
		_, _ = io.WriteString(w, png)
	})
	b := setup(t, c)
	ev := newEvent("p", srv.URL+"/a.png", srv.URL+"/large.mp4", "text")
	err := b.handle(ev)
	if err != nil && strings.Contains(err.Error(), "NotImplemented") {
		err = b.handle(ev) // once it is known that uploads have no conditions here
	}
	require.NoError(t, err)
	require.Equal(t, png, b.object(t, s3Folder+"/0.png"))
	require.Equal(t, string(large), b.object(t, s3Folder+"/1.mp4"))
	require.NoError(t, b.handle(ev), "handled again it is read")
	other := newEvent("p", "another text")
	require.NoError(t, b.handle(other))
	require.Equal(t, "another text", b.object(t, conflictKey(s3Folder, other.ID)+"/0.txt"))
	m, err := b.files.measure(t.Context(), s3Folder+"/1.mp4")
	require.NoError(t, err)
	require.EqualValues(t, len(large), m.bytes)
	size, err := b.files.size(t.Context())
	require.NoError(t, err)
	require.Greater(t, size, int64(len(large)))
	_, err = b.files.remove(t.Context(), s3Folder+"/1.mp4")
	require.NoError(t, err)
}

// Every store that is known to speak like S3 takes what is sent to it.
func TestStoresThatSpeakLikeS3(t *testing.T) {
	for name, rule := range strictStores {
		t.Run(name, func(t *testing.T) {
			store := newStrictBucket(t, rule())
			useStore(t, func(c *Config) { c.Location = store.location(t) })
			require.Zero(t, store.uploads(t))
		})
	}
}

// An endpoint that the environment or the shared configuration names is treated as one
// in the address of the store.
func TestEndpointOfTheEnvironment(t *testing.T) {
	shared := func(text string) func(*testing.T, string) {
		return func(t *testing.T, endpoint string) {
			file := filepath.Join(t.TempDir(), "config")
			require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, text, endpoint), 0o600))
			t.Setenv("AWS_CONFIG_FILE", file)
		}
	}
	for name, set := range map[string]func(t *testing.T, endpoint string){
		"AWS_ENDPOINT_URL_S3":      func(t *testing.T, endpoint string) { t.Setenv("AWS_ENDPOINT_URL_S3", endpoint) },
		"AWS_ENDPOINT_URL":         func(t *testing.T, endpoint string) { t.Setenv("AWS_ENDPOINT_URL", endpoint) },
		"endpoint_url":             shared("[default]\nendpoint_url = %s\n"),
		"endpoint_url of services": shared("[default]\nservices = mine\n[services mine]\ns3 =\n  endpoint_url = %s\n"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, store := range []string{"Google Cloud Storage", "MinIO", "Ceph"} {
				t.Run(store, func(t *testing.T) {
					strict := newStrictBucket(t, strictStores[store]())
					set(t, strict.srv.URL+"/")
					useStore(t, func(c *Config) { c.Location = Location{Bucket: "bucket", Prefix: "some/prefix", PathStyle: true} })
				})
			}
			newBucket(t)
			c := Config{Location: Location{Bucket: "bucket"}, Hosts: []string{"x"}}
			for _, endpoint := range []string{"http://store.example:9000", "https://user:secret@store.example", "ftp://secret", "secret"} {
				set(t, endpoint)
				_, err := New(c)
				require.ErrorContains(t, err, "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or endpoint_url")
				require.NotContains(t, err.Error(), "secret")
				_, err = New(Config{Location: Location{Bucket: "bucket", Endpoint: "https://other.example"}, Hosts: c.Hosts})
				require.NoError(t, err, "the address of the store comes first")
			}
			set(t, "http://store.example:9000")
			c.AllowPrivate = true
			a, err := New(c)
			require.NoError(t, err)
			require.NoError(t, a.Close())
		})
	}
}
