package redial

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var _ jetstream.JetStream = (*JetStream)(nil)

// What follows is jetstream.JetStream on the connection of now.

func (j *JetStream) AccountInfo(ctx context.Context) (*jetstream.AccountInfo, error) {
	return j.js().AccountInfo(ctx)
}

func (j *JetStream) Options() jetstream.JetStreamOptions {
	return j.js().Options()
}

func (j *JetStream) Publish(ctx context.Context, subject string, payload []byte, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	return j.js().Publish(ctx, subject, payload, opts...)
}

func (j *JetStream) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	return j.js().PublishMsg(ctx, msg, opts...)
}

func (j *JetStream) PublishAsync(subject string, payload []byte, opts ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	return j.js().PublishAsync(subject, payload, opts...)
}

func (j *JetStream) PublishMsgAsync(msg *nats.Msg, opts ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	return j.js().PublishMsgAsync(msg, opts...)
}

func (j *JetStream) PublishAsyncPending() int {
	return j.js().PublishAsyncPending()
}

func (j *JetStream) PublishAsyncComplete() <-chan struct{} {
	return j.js().PublishAsyncComplete()
}

func (j *JetStream) CleanupPublisher() {
	j.js().CleanupPublisher()
}

func (j *JetStream) CreateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	return j.js().CreateStream(ctx, cfg)
}

func (j *JetStream) UpdateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	return j.js().UpdateStream(ctx, cfg)
}

func (j *JetStream) CreateOrUpdateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	return j.js().CreateOrUpdateStream(ctx, cfg)
}

func (j *JetStream) Stream(ctx context.Context, stream string) (jetstream.Stream, error) {
	return j.js().Stream(ctx, stream)
}

func (j *JetStream) StreamNameBySubject(ctx context.Context, subject string) (string, error) {
	return j.js().StreamNameBySubject(ctx, subject)
}

func (j *JetStream) DeleteStream(ctx context.Context, stream string) error {
	return j.js().DeleteStream(ctx, stream)
}

func (j *JetStream) ListStreams(ctx context.Context, opts ...jetstream.StreamListOpt) jetstream.StreamInfoLister {
	return j.js().ListStreams(ctx, opts...)
}

func (j *JetStream) StreamNames(ctx context.Context, opts ...jetstream.StreamListOpt) jetstream.StreamNameLister {
	return j.js().StreamNames(ctx, opts...)
}

func (j *JetStream) CreateOrUpdateConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	return j.js().CreateOrUpdateConsumer(ctx, stream, cfg)
}

func (j *JetStream) CreateConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	return j.js().CreateConsumer(ctx, stream, cfg)
}

func (j *JetStream) UpdateConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	return j.js().UpdateConsumer(ctx, stream, cfg)
}

func (j *JetStream) OrderedConsumer(ctx context.Context, stream string, cfg jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	return j.js().OrderedConsumer(ctx, stream, cfg)
}

func (j *JetStream) Consumer(ctx context.Context, stream string, consumer string) (jetstream.Consumer, error) {
	return j.js().Consumer(ctx, stream, consumer)
}

func (j *JetStream) DeleteConsumer(ctx context.Context, stream string, consumer string) error {
	return j.js().DeleteConsumer(ctx, stream, consumer)
}

func (j *JetStream) PauseConsumer(ctx context.Context, stream string, consumer string, pauseUntil time.Time) (*jetstream.ConsumerPauseResponse, error) {
	return j.js().PauseConsumer(ctx, stream, consumer, pauseUntil)
}

func (j *JetStream) ResumeConsumer(ctx context.Context, stream string, consumer string) (*jetstream.ConsumerPauseResponse, error) {
	return j.js().ResumeConsumer(ctx, stream, consumer)
}

func (j *JetStream) ResetConsumer(ctx context.Context, stream, consumer string) (*jetstream.ConsumerResetResponse, error) {
	return j.js().ResetConsumer(ctx, stream, consumer)
}

func (j *JetStream) ResetConsumerToSequence(ctx context.Context, stream, consumer string, seq uint64) (*jetstream.ConsumerResetResponse, error) {
	return j.js().ResetConsumerToSequence(ctx, stream, consumer, seq)
}

func (j *JetStream) CreateOrUpdatePushConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.PushConsumer, error) {
	return j.js().CreateOrUpdatePushConsumer(ctx, stream, cfg)
}

func (j *JetStream) CreatePushConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.PushConsumer, error) {
	return j.js().CreatePushConsumer(ctx, stream, cfg)
}

func (j *JetStream) UpdatePushConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.PushConsumer, error) {
	return j.js().UpdatePushConsumer(ctx, stream, cfg)
}

func (j *JetStream) PushConsumer(ctx context.Context, stream string, consumer string) (jetstream.PushConsumer, error) {
	return j.js().PushConsumer(ctx, stream, consumer)
}

func (j *JetStream) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	return j.js().KeyValue(ctx, bucket)
}

func (j *JetStream) CreateKeyValue(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	return j.js().CreateKeyValue(ctx, cfg)
}

func (j *JetStream) UpdateKeyValue(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	return j.js().UpdateKeyValue(ctx, cfg)
}

func (j *JetStream) CreateOrUpdateKeyValue(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	return j.js().CreateOrUpdateKeyValue(ctx, cfg)
}

func (j *JetStream) DeleteKeyValue(ctx context.Context, bucket string) error {
	return j.js().DeleteKeyValue(ctx, bucket)
}

func (j *JetStream) KeyValueStoreNames(ctx context.Context) jetstream.KeyValueNamesLister {
	return j.js().KeyValueStoreNames(ctx)
}

func (j *JetStream) KeyValueStores(ctx context.Context) jetstream.KeyValueLister {
	return j.js().KeyValueStores(ctx)
}

func (j *JetStream) ObjectStore(ctx context.Context, bucket string) (jetstream.ObjectStore, error) {
	return j.js().ObjectStore(ctx, bucket)
}

func (j *JetStream) CreateObjectStore(ctx context.Context, cfg jetstream.ObjectStoreConfig) (jetstream.ObjectStore, error) {
	return j.js().CreateObjectStore(ctx, cfg)
}

func (j *JetStream) UpdateObjectStore(ctx context.Context, cfg jetstream.ObjectStoreConfig) (jetstream.ObjectStore, error) {
	return j.js().UpdateObjectStore(ctx, cfg)
}

func (j *JetStream) CreateOrUpdateObjectStore(ctx context.Context, cfg jetstream.ObjectStoreConfig) (jetstream.ObjectStore, error) {
	return j.js().CreateOrUpdateObjectStore(ctx, cfg)
}

func (j *JetStream) DeleteObjectStore(ctx context.Context, bucket string) error {
	return j.js().DeleteObjectStore(ctx, bucket)
}

func (j *JetStream) ObjectStoreNames(ctx context.Context) jetstream.ObjectStoreNamesLister {
	return j.js().ObjectStoreNames(ctx)
}

func (j *JetStream) ObjectStores(ctx context.Context) jetstream.ObjectStoresLister {
	return j.js().ObjectStores(ctx)
}
