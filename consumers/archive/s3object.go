package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// maxSmall bounds what get reads, in bytes: events and manifests are smaller.
	maxSmall = 64 << 20
	// sumKey is the name of an object's SHA-256 in its metadata, in hex.
	sumKey = "sha256"
)

func (s *objects) put(ctx context.Context, f file, replace bool, data []byte) error {
	condition := s.ifAbsent()
	if replace {
		condition = nil
	}
	err := s.putObject(ctx, f, condition, data)
	if condition != nil && s.noCondition(err) {
		err = s.putObject(ctx, f, nil, data)
	}
	if err != nil {
		return fmt.Errorf("storing %s: %w", f.key, err)
	}
	return nil
}

func (s *objects) putObject(ctx context.Context, f file, condition *string, data []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s3Timeout, errSlowStore)
	defer cancel()
	sum := sha256.Sum256(data)
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.at.Bucket, Key: s.key(f.key), IfNoneMatch: condition, Body: bytes.NewReader(data),
		ContentType: typed(f), ContentDisposition: disposition(f),
		Metadata: map[string]string{sumKey: hex.EncodeToString(sum[:])},
	})
	return s3Error(err)
}

// typed is the content type of the object, nil when it is unknown.
func typed(f file) *string {
	if f.contentType == "" {
		return nil
	}
	return aws.String(f.contentType)
}

// disposition keeps browsers from running active files where the bucket is served.
func disposition(f file) *string {
	if active(f.contentType) {
		return aws.String("attachment")
	}
	return nil
}

func (s *objects) get(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s3Timeout, errSlowStore)
	defer cancel()
	var data []byte
	_, err := s.read(ctx, key, func(r io.Reader) (err error) {
		data, err = io.ReadAll(io.LimitReader(r, maxSmall+1))
		if err == nil && len(data) > maxSmall {
			err = fmt.Errorf("it is larger than %d bytes", maxSmall)
		}
		return err
	})
	return data, err
}

func (s *objects) measure(ctx context.Context, key string) (measured, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, errSlowStore)
	defer cancel()
	var m measured
	h := sha256.New()
	out, err := s.read(ctx, key, func(r io.Reader) (err error) {
		m.bytes, err = io.Copy(h, r)
		return err
	})
	if err != nil {
		return measured{}, err
	}
	m.sha256, m.at = h.Sum(nil), aws.ToTime(out.LastModified)
	return m, nil
}

func (s *objects) read(ctx context.Context, key string, use func(io.Reader) error) (*s3.GetObjectOutput, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.at.Bucket, Key: s.key(key)})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, s3Error(err))
	}
	defer func() { _ = out.Body.Close() }() // use has seen how much came
	if err := use(out.Body); err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	return out, nil
}

func (s *objects) names(ctx context.Context, folder string) ([]string, error) {
	var names []string
	err := s.list(ctx, aws.ToString(s.key(folder))+"/", aws.String("/"), func(key string, _ int64) {
		names = append(names, path.Base(key))
	})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", folder, err)
	}
	return names, nil
}

func (s *objects) folders(ctx context.Context, folder, prefix string) ([]string, error) {
	begin := aws.ToString(s.key(folder)) + "/" + prefix
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.at.Bucket, Prefix: &begin, Delimiter: aws.String("/")})
	var names []string
	for pages.HasMorePages() {
		page, err := s.nextPage(ctx, pages)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", folder, err)
		}
		for _, p := range page.CommonPrefixes {
			names = append(names, path.Base(aws.ToString(p.Prefix)))
		}
	}
	return names, nil
}

// removeFolder has nothing to do: a bucket has no folders.
func (s *objects) removeFolder(string) error { return nil }

// size costs one call for every thousand objects.
func (s *objects) size(ctx context.Context) (total int64, err error) {
	prefix := ""
	if s.at.Prefix != "" {
		prefix = s.at.Prefix + "/"
	}
	err = s.list(ctx, prefix, nil, func(_ string, size int64) { total += size })
	if err != nil {
		return 0, fmt.Errorf("counting what is stored in %v: %w", s.at, err)
	}
	return total, nil
}

func (s *objects) list(ctx context.Context, prefix string, delimiter *string, add func(key string, size int64)) error {
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.at.Bucket, Prefix: &prefix, Delimiter: delimiter})
	for pages.HasMorePages() {
		page, err := s.nextPage(ctx, pages)
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			add(aws.ToString(o.Key), aws.ToInt64(o.Size))
		}
	}
	return nil
}

func (s *objects) nextPage(ctx context.Context, pages *s3.ListObjectsV2Paginator) (*s3.ListObjectsV2Output, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s3Timeout, errSlowStore)
	defer cancel()
	page, err := pages.NextPage(ctx)
	return page, s3Error(err)
}

func (s *objects) remove(ctx context.Context, key string) (measured, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s3Timeout, errSlowStore)
	defer cancel()
	if _, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.at.Bucket, Key: s.key(key)}); err != nil {
		return measured{}, fmt.Errorf("removing %s: %w", key, s3Error(err))
	}
	return measured{}, nil
}
