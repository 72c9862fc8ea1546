package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/hookspan/hookspan/internal/freshconn"
)

const (
	// s3Timeout bounds one call that moves few bytes.
	s3Timeout = 5 * time.Minute
	// s3Header is how long the store may take to begin its answer.
	s3Header = time.Minute
	// defaultRegion is the region for stores that have none but want a name.
	defaultRegion = "us-east-1"
)

// objects is a store in a bucket of S3, or of a store that speaks S3. An object is whole or
// absent there, and durable once it is acknowledged. Several processes may share the bucket.
type objects struct {
	at       Location
	client   *s3.Client
	http     *http.Client
	timeout  time.Duration // of calls that move a whole output
	partSize int64
	// unconditional: the store does not know If-None-Match. A second writer then replaces an
	// object by the same bytes.
	unconditional atomic.Bool
}

// openObjects does not call the store, which may be away at the start. Credentials come from the
// places of every AWS tool, in this order: environment, shared files, web identity, and the
// metadata service of the machine, unless AWS_EC2_METADATA_DISABLED is true.
func openObjects(ctx context.Context, c Config) (*objects, error) {
	transport := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = s3Header
		t.DisableCompression = true // else the transport asks for gzip by itself
	})
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(transport)}
	if c.Location.Region != "" {
		options = append(options, config.WithRegion(c.Location.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of AWS: %w", err)
	}
	l, err := c.Location.withEndpointOf(cfg, c.AllowPrivate)
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.Region == "" && l.Endpoint != "":
		cfg.Region = defaultRegion
	case cfg.Region == "":
		return nil, errors.New("the region is not known: add ?region=… to the address, or set AWS_REGION")
	}
	s := &objects{at: l, timeout: c.Timeout, partSize: partSize(c.MaxOutput)}
	if buildable, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok { // AWS_CA_BUNDLE is applied by now
		s.http = &http.Client{Transport: freshconn.New(buildable.GetTransport(), 0), CheckRedirect: sameMethod}
	}
	s.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = l.PathStyle
		if l.Endpoint != "" {
			o.BaseEndpoint = aws.String(l.Endpoint)
			speakPlainly(o)
		}
		if s.http != nil {
			o.HTTPClient = s.http
		}
	})
	return s, nil
}

// sameMethod follows redirects that keep the method, as the SDK's own client does, and does not
// send the session's token to another host.
func sameMethod(r *http.Request, via []*http.Request) error {
	if code := r.Response.StatusCode; code != http.StatusTemporaryRedirect && code != http.StatusPermanentRedirect {
		return http.ErrUseLastResponse
	}
	if via[len(via)-1].URL.Host != r.URL.Host {
		r.Header.Del("X-Amz-Security-Token")
	}
	return nil
}

func (s *objects) key(key string) *string {
	if s.at.Prefix != "" {
		key = s.at.Prefix + "/" + key
	}
	return &key
}

func (s *objects) address(key string) string { return s3Scheme + s.at.Bucket + "/" + *s.key(key) }

func (s *objects) close() error {
	if s.http != nil {
		s.http.CloseIdleConnections()
	}
	return nil
}

// sync does nothing: a bucket has no folders.
func (s *objects) sync(string) error { return nil }

// s3Error gives errors of the store the meaning of the errors of a disk.
func s3Error(err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return err
	}
	switch api.ErrorCode() {
	case "NoSuchKey", "NotFound":
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case "PreconditionFailed":
		return fmt.Errorf("%w: %w", errStored, err)
	}
	return err
}

// noCondition reports whether err says that the store does not know If-None-Match, and remembers
// that.
func (s *objects) noCondition(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != "NotImplemented" {
		return false
	}
	s.unconditional.Store(true)
	return true
}

func (s *objects) ifAbsent() *string {
	if s.unconditional.Load() {
		return nil
	}
	return aws.String("*")
}
