package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// minPartSize is the smallest part of an upload in S3, in bytes, maxParts the most parts.
	minPartSize = 5 << 20
	maxParts    = 10_000
	// abortTimeout bounds the removal of the parts of an upload that failed.
	abortTimeout = 30 * time.Second
)

var errSlowStore = errors.New("the object store took too long")

// partSize is the size of the parts of outputs up to the limit. Each output on its way has three
// parts in memory.
func partSize(limit int64) int64 { return max(minPartSize, limit/maxParts+1) }

// stream keeps nothing of an unfinished output, as S3 does.
func (s *objects) stream(ctx context.Context, f file, r io.Reader) (measured, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout+s3Timeout, errSlowStore)
	defer cancel()
	var first bytes.Buffer
	if _, err := first.ReadFrom(io.LimitReader(r, s.partSize)); err != nil {
		return measured{}, err
	}
	if int64(first.Len()) < s.partSize {
		if err := s.put(ctx, f, false, first.Bytes()); err != nil {
			return measured{}, err
		}
		sum := sha256.Sum256(first.Bytes())
		return measured{int64(first.Len()), sum[:], time.Now()}, nil
	}
	c := &counter{r: io.MultiReader(&first, r), sum: sha256.New()}
	if err := s.upload(ctx, f, c); err != nil {
		return measured{}, fmt.Errorf("storing %s: %w", f.key, err)
	}
	return measured{c.bytes, c.sum.Sum(nil), time.Now()}, nil
}

// upload stores an output that is larger than a part. Its checksum is known only at the end, so
// it is not in the metadata: S3 takes that at the beginning.
func (s *objects) upload(ctx context.Context, f file, r io.Reader) error {
	manager := transfermanager.New(knownUploads{s.client}, func(o *transfermanager.Options) {
		o.PartSizeBytes, o.MultipartUploadThreshold = s.partSize, s.partSize
		o.Concurrency = 1 // each further one would hold a part more in memory
		o.FailTimeout = abortTimeout
		o.RequestChecksumCalculation = s.client.Options().RequestChecksumCalculation
	})
	_, err := manager.UploadObject(ctx, &transfermanager.UploadObjectInput{
		Bucket: &s.at.Bucket, Key: s.key(f.key), IfNoneMatch: s.ifAbsent(), Body: r,
		ContentType: typed(f), ContentDisposition: disposition(f),
	})
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.noCondition(err) // remembered for the next attempt
	return s3Error(err)
}

// knownUploads waits for the answer that begins an upload even when ctx ends meanwhile: without
// the upload's id nobody can remove the upload.
type knownUploads struct{ *s3.Client }

func (k knownUploads) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput, opts ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), s3Timeout, errSlowStore)
	defer cancel()
	return k.Client.CreateMultipartUpload(ctx, in, opts...)
}

type counter struct {
	r     io.Reader
	sum   hash.Hash
	bytes int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.Write(p[:n])
	c.bytes += int64(n)
	return n, err
}
