package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

const (
	// openTime bounds the wait for the beginning of an object that somebody waits for.
	openTime = 15 * time.Second
	// readStall bounds the wait for the next bytes of it.
	readStall = 15 * time.Second
	// sectionSize is how much of an object is asked for at once, in bytes: a reader that wants
	// only a part, or leaves, costs no more.
	sectionSize = 8 << 20
)

var (
	errStalledStore = errors.New("the object store stopped sending")
	errNoRanges     = errors.New("the object store answers with another part of the object than was asked for")
)

// open asks for the first bytes of an object, whose answer names its size too.
func (s *objects) open(ctx context.Context, key string) (*File, error) {
	within, cancel := context.WithTimeoutCause(ctx, openTime, errSlowStore)
	defer cancel()
	part, err := s.part(within, key, nil, 0, sniffed)
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "InvalidRange" { // it is empty
		return &File{ReadSeekCloser: &object{}}, nil
	}
	if err != nil {
		return nil, timely(within, err)
	}
	defer func() { _ = part.body.Close() }() // all that counts was read
	head, err := io.ReadAll(io.LimitReader(part.body, sniffed))
	if err != nil {
		return nil, timely(within, err)
	}
	return &File{&object{ctx: ctx, store: s, key: key, tag: part.tag, size: part.total}, part.total, head}, nil
}

// timely replaces the error of a call that took too long by what that means.
func timely(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// objectPart is a part of an object as it comes.
type objectPart struct {
	body  io.ReadCloser
	tag   *string
	total int64 // of the whole object
}

// part asks for bytes from at on, of the object that has the tag; nil is any.
func (s *objects) part(ctx context.Context, key string, tag *string, at, length int64) (objectPart, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &s.at.Bucket, Key: s.key(key), IfMatch: tag, Range: aws.String(fmt.Sprintf("bytes=%d-%d", at, at+length-1)),
	})
	if err != nil {
		return objectPart{}, s3Error(err)
	}
	begin, _, total, ok := contentRange(http.Header{"Content-Range": {aws.ToString(out.ContentRange)}})
	if !ok || begin != at {
		_ = out.Body.Close() // nobody reads it
		return objectPart{}, errNoRanges
	}
	return objectPart{out.Body, out.ETag, total}, nil
}

// object reads an object from anywhere on. Its zero value is an empty one.
type object struct {
	ctx   context.Context //nolint:containedctx // of whoever reads the file
	store *objects
	key   string
	tag   *string
	size  int64
	at    int64

	body   io.ReadCloser // of the section that is being read, nil for none
	left   int64         // in that section
	cancel context.CancelCauseFunc
	stall  *time.Timer
}

func (o *object) Read(p []byte) (int, error) {
	if o.at >= o.size {
		return 0, io.EOF
	}
	if o.body == nil {
		if err := o.begin(); err != nil {
			return 0, fmt.Errorf("reading %s: %w", o.key, err)
		}
	}
	o.stall.Reset(readStall)
	n, err := o.body.Read(p[:min(int64(len(p)), o.left)])
	o.stall.Stop()
	o.at += int64(n)
	o.left -= int64(n)
	switch {
	case o.left == 0:
		o.end()
		return n, nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	case err == nil:
		return n, nil
	}
	return n, fmt.Errorf("reading %s: %w", o.key, err)
}

func (o *object) begin() error {
	ctx, cancel := context.WithCancelCause(o.ctx)
	stall := time.AfterFunc(openTime, func() { cancel(errStalledStore) })
	length := min(sectionSize, o.size-o.at)
	part, err := o.store.part(ctx, o.key, o.tag, o.at, length)
	stall.Stop()
	if err != nil {
		err = timely(ctx, err)
		cancel(nil)
		return err
	}
	o.body, o.left, o.cancel, o.stall = part.body, length, cancel, stall
	return nil
}

// end gives up the section that is being read.
func (o *object) end() {
	if o.body == nil {
		return
	}
	o.stall.Stop()
	o.cancel(nil)
	_ = o.body.Close() // all that counts was read
	o.body = nil
}

// Seek asks the store for nothing.
func (o *object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.at
	case io.SeekEnd:
		offset += o.size
	}
	if offset < 0 {
		return 0, errors.New("before the beginning of the object")
	}
	if offset != o.at {
		o.end()
		o.at = offset
	}
	return offset, nil
}

// Close ends what is being read.
func (o *object) Close() error {
	o.end()
	return nil
}
