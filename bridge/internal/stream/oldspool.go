package stream

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/journal"
	"github.com/hookspan/hookspan/internal/streamread"
)

// headerStuckID was the message id of a message that was set aside in the spool.
const headerStuckID = "hookspan-stuck-id"

// MoveOldSpool moves what an earlier version left in its spool, a stream of a NATS server of
// its own, to the journal, and removes the spool. Messages of another prefix are an error. It
// may be repeated: a message that is moved twice has the same id.
func MoveOldSpool(ctx context.Context, folder *datafolder.Folder, names bridge.Names, j *journal.Journal, log *zap.Logger) error {
	moved, err := moveSpool(ctx, folder, names, j, log.Named("spool"))
	if err != nil {
		return fmt.Errorf("moving the spool of an earlier version to the journal: %w", err)
	}
	if err := os.RemoveAll(folder.Path(datafolder.SpoolPart)); err != nil {
		return fmt.Errorf("removing the spool of an earlier version: %w", err)
	}
	log.Info("moved the spool of an earlier version to the journal", zap.Int("events", moved))
	return nil
}

func moveSpool(ctx context.Context, folder *datafolder.Folder, names bridge.Names, j *journal.Journal, log *zap.Logger) (moved int, err error) {
	server, err := startSpoolServer(ctx, folder, log)
	if err != nil {
		return 0, err
	}
	defer server.Close()
	nc, err := server.Connect("hookspan-spool", log)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		switch {
		case info.State.Msgs == 0:
		case info.Config.Name != names.SpoolStream():
			return 0, fmt.Errorf("it holds %d accepted messages of another nats.prefix, in stream %s: set nats.prefix back and let them drain before you change it",
				info.State.Msgs, info.Config.Name)
		default:
			if moved, err = moveSpoolStream(ctx, js, info, names, j); err != nil {
				return moved, err
			}
		}
	}
	return moved, list.Err()
}

func moveSpoolStream(ctx context.Context, js jetstream.JetStream, info *jetstream.StreamInfo, names bridge.Names, j *journal.Journal) (moved int, err error) {
	r, err := streamread.NewReader(ctx, js, streamread.ReaderConfig{Stream: info.Config.Name})
	if err != nil {
		return 0, err
	}
	defer r.Close(ctx)
	var block []*journal.Record
	bytes := 0
	err = r.ReadTo(ctx, info.State.LastSeq, func(meta *jetstream.MsgMetadata, m jetstream.Msg) error {
		block, bytes = append(block, spooledRecord(m, meta.Timestamp, names)), bytes+len(m.Data())
		if meta.NumPending > 0 && len(block) < batchMessages && bytes < batchBytes/2 {
			return nil
		}
		if err := j.Append(ctx, block...); err != nil {
			return err
		}
		moved += len(block)
		block, bytes = nil, 0
		return nil
	})
	if err == nil && len(block) > 0 { // what was to follow is gone
		err, moved = j.Append(ctx, block...), moved+len(block)
	}
	return moved, err
}

// spooledRecord restores the message as it was before it was spooled.
func spooledRecord(m jetstream.Msg, at time.Time, names bridge.Names) *journal.Record {
	header := bridge.Header(m.Headers()).Republish()
	header[bridge.HeaderMsgID] = m.Headers()[bridge.HeaderMsgID]
	if id, ok := header[headerStuckID]; ok {
		header[bridge.HeaderMsgID] = id
		delete(header, headerStuckID)
	}
	subject := names.Unspool(m.Subject())
	return &journal.Record{Stream: names.StreamOf(subject), Subject: subject, Header: header, Body: m.Data(), At: at}
}
