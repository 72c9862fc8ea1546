package redial

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var _ jetstream.JetStream = (*JetStream)(nil)

// AccountInfo is that of [jetstream.JetStream], on the current connection.
func (j *JetStream) AccountInfo(ctx context.Context) (*jetstream.AccountInfo, error) {
	return j.js().AccountInfo(ctx)
}

// Options is that of [jetstream.JetStream], on the current connection.
func (j *JetStream) Options() jetstream.JetStreamOptions {
	return j.js().Options()
}

// Publish is that of [jetstream.Publisher], on the current connection.
func (j *JetStream) Publish(ctx context.Context, subject string, payload []byte, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	return j.js().Publish(ctx, subject, payload, opts...)
}

// PublishMsg is that of [jetstream.Publisher], on the current connection.
func (j *JetStream) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	return j.js().PublishMsg(ctx, msg, opts...)
}

// PublishAsync is that of [jetstream.Publisher], on the current connection.
func (j *JetStream) PublishAsync(subject string, payload []byte, opts ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	return j.js().PublishAsync(subject, payload, opts...)
}

// PublishMsgAsync is that of [jetstream.Publisher], on the current connection.
func (j *JetStream) PublishMsgAsync(msg *nats.Msg, opts ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	return j.js().PublishMsgAsync(msg, opts...)
}

// PublishAsyncPending is that of [jetstream.Publisher], on the current connection.
func (j *JetStream) PublishAsyncPending() int {
	return j.js().PublishAsyncPending()
}

// PublishAsyncComplete is that of [jetstream.Publisher], on the current connection.
func (j *JetStream) PublishAsyncComplete() <-chan struct{} {
	return j.js().PublishAsyncComplete()
}

// CleanupPublisher is that of [jetstream.Publisher], on the current connection.
func (j *JetStream) CleanupPublisher() {
	j.js().CleanupPublisher()
}

// CreateStream is that of [jetstream.StreamManager], on the current connection.
func (j *JetStream) CreateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	return j.js().CreateStream(ctx, cfg)
}

// UpdateStream is that of [jetstream.StreamManager], on the current connection.
func (j *JetStream) UpdateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	return j.js().UpdateStream(ctx, cfg)
}

// CreateOrUpdateStream is that of [jetstream.StreamManager], on the current connection.
func (j *JetStream) CreateOrUpdateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	return j.js().CreateOrUpdateStream(ctx, cfg)
}

// Stream is that of [jetstream.StreamManager], on the current connection.
func (j *JetStream) Stream(ctx context.Context, stream string) (jetstream.Stream, error) {
	return j.js().Stream(ctx, stream)
}

// StreamNameBySubject is that of [jetstream.StreamManager], on the current connection.
func (j *JetStream) StreamNameBySubject(ctx context.Context, subject string) (string, error) {
	return j.js().StreamNameBySubject(ctx, subject)
}

// DeleteStream is that of [jetstream.StreamManager], on the current connection.
func (j *JetStream) DeleteStream(ctx context.Context, stream string) error {
	return j.js().DeleteStream(ctx, stream)
}

// ListStreams is that of [jetstream.StreamManager], on the current connection.
func (j *JetStream) ListStreams(ctx context.Context, opts ...jetstream.StreamListOpt) jetstream.StreamInfoLister {
	return j.js().ListStreams(ctx, opts...)
}

// StreamNames is that of [jetstream.StreamManager], on the current connection.
func (j *JetStream) StreamNames(ctx context.Context, opts ...jetstream.StreamListOpt) jetstream.StreamNameLister {
	return j.js().StreamNames(ctx, opts...)
}

// CreateOrUpdateConsumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) CreateOrUpdateConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	return j.js().CreateOrUpdateConsumer(ctx, stream, cfg)
}

// CreateConsumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) CreateConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	return j.js().CreateConsumer(ctx, stream, cfg)
}

// UpdateConsumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) UpdateConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	return j.js().UpdateConsumer(ctx, stream, cfg)
}

// OrderedConsumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) OrderedConsumer(ctx context.Context, stream string, cfg jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	return j.js().OrderedConsumer(ctx, stream, cfg)
}

// Consumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) Consumer(ctx context.Context, stream string, consumer string) (jetstream.Consumer, error) {
	return j.js().Consumer(ctx, stream, consumer)
}

// DeleteConsumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) DeleteConsumer(ctx context.Context, stream string, consumer string) error {
	return j.js().DeleteConsumer(ctx, stream, consumer)
}

// PauseConsumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) PauseConsumer(ctx context.Context, stream string, consumer string, pauseUntil time.Time) (*jetstream.ConsumerPauseResponse, error) {
	return j.js().PauseConsumer(ctx, stream, consumer, pauseUntil)
}

// ResumeConsumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) ResumeConsumer(ctx context.Context, stream string, consumer string) (*jetstream.ConsumerPauseResponse, error) {
	return j.js().ResumeConsumer(ctx, stream, consumer)
}

// ResetConsumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) ResetConsumer(ctx context.Context, stream, consumer string) (*jetstream.ConsumerResetResponse, error) {
	return j.js().ResetConsumer(ctx, stream, consumer)
}

// ResetConsumerToSequence is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) ResetConsumerToSequence(ctx context.Context, stream, consumer string, seq uint64) (*jetstream.ConsumerResetResponse, error) {
	return j.js().ResetConsumerToSequence(ctx, stream, consumer, seq)
}

// CreateOrUpdatePushConsumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) CreateOrUpdatePushConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.PushConsumer, error) {
	return j.js().CreateOrUpdatePushConsumer(ctx, stream, cfg)
}

// CreatePushConsumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) CreatePushConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.PushConsumer, error) {
	return j.js().CreatePushConsumer(ctx, stream, cfg)
}

// UpdatePushConsumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) UpdatePushConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.PushConsumer, error) {
	return j.js().UpdatePushConsumer(ctx, stream, cfg)
}

// PushConsumer is that of [jetstream.StreamConsumerManager], on the current connection.
func (j *JetStream) PushConsumer(ctx context.Context, stream string, consumer string) (jetstream.PushConsumer, error) {
	return j.js().PushConsumer(ctx, stream, consumer)
}

// KeyValue is that of [jetstream.KeyValueManager], on the current connection.
func (j *JetStream) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	return j.js().KeyValue(ctx, bucket)
}

// CreateKeyValue is that of [jetstream.KeyValueManager], on the current connection.
func (j *JetStream) CreateKeyValue(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	return j.js().CreateKeyValue(ctx, cfg)
}

// UpdateKeyValue is that of [jetstream.KeyValueManager], on the current connection.
func (j *JetStream) UpdateKeyValue(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	return j.js().UpdateKeyValue(ctx, cfg)
}

// CreateOrUpdateKeyValue is that of [jetstream.KeyValueManager], on the current connection.
func (j *JetStream) CreateOrUpdateKeyValue(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	return j.js().CreateOrUpdateKeyValue(ctx, cfg)
}

// DeleteKeyValue is that of [jetstream.KeyValueManager], on the current connection.
func (j *JetStream) DeleteKeyValue(ctx context.Context, bucket string) error {
	return j.js().DeleteKeyValue(ctx, bucket)
}

// KeyValueStoreNames is that of [jetstream.KeyValueManager], on the current connection.
func (j *JetStream) KeyValueStoreNames(ctx context.Context) jetstream.KeyValueNamesLister {
	return j.js().KeyValueStoreNames(ctx)
}

// KeyValueStores is that of [jetstream.KeyValueManager], on the current connection.
func (j *JetStream) KeyValueStores(ctx context.Context) jetstream.KeyValueLister {
	return j.js().KeyValueStores(ctx)
}

// ObjectStore is that of [jetstream.ObjectStoreManager], on the current connection.
func (j *JetStream) ObjectStore(ctx context.Context, bucket string) (jetstream.ObjectStore, error) {
	return j.js().ObjectStore(ctx, bucket)
}

// CreateObjectStore is that of [jetstream.ObjectStoreManager], on the current connection.
func (j *JetStream) CreateObjectStore(ctx context.Context, cfg jetstream.ObjectStoreConfig) (jetstream.ObjectStore, error) {
	return j.js().CreateObjectStore(ctx, cfg)
}

// UpdateObjectStore is that of [jetstream.ObjectStoreManager], on the current connection.
func (j *JetStream) UpdateObjectStore(ctx context.Context, cfg jetstream.ObjectStoreConfig) (jetstream.ObjectStore, error) {
	return j.js().UpdateObjectStore(ctx, cfg)
}

// CreateOrUpdateObjectStore is that of [jetstream.ObjectStoreManager], on the current connection.
func (j *JetStream) CreateOrUpdateObjectStore(ctx context.Context, cfg jetstream.ObjectStoreConfig) (jetstream.ObjectStore, error) {
	return j.js().CreateOrUpdateObjectStore(ctx, cfg)
}

// DeleteObjectStore is that of [jetstream.ObjectStoreManager], on the current connection.
func (j *JetStream) DeleteObjectStore(ctx context.Context, bucket string) error {
	return j.js().DeleteObjectStore(ctx, bucket)
}

// ObjectStoreNames is that of [jetstream.ObjectStoreManager], on the current connection.
func (j *JetStream) ObjectStoreNames(ctx context.Context) jetstream.ObjectStoreNamesLister {
	return j.js().ObjectStoreNames(ctx)
}

// ObjectStores is that of [jetstream.ObjectStoreManager], on the current connection.
func (j *JetStream) ObjectStores(ctx context.Context) jetstream.ObjectStoresLister {
	return j.js().ObjectStores(ctx)
}
