package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// failingView cannot erase the first times.
type failingView struct {
	fails int
	tried []time.Time
	gone  bool
}

func (v *failingView) EraseAll(context.Context, func(source, id string) bool) error {
	v.tried = append(v.tried, time.Now())
	if v.gone = len(v.tried) > v.fails; !v.gone {
		return errors.New("the disk is full")
	}
	return nil
}

// What another process has erased goes from the view of this one as soon as that can, without a
// person.
func TestWhatOthersEraseGoesFromAViewThatFailsAtFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		v := &failingView{fails: 20}
		erase := func(ctx context.Context) error { return v.EraseAll(ctx, nil) }
		began := time.Now()
		untilErased(t.Context(), zap.New(core), erase)
		require.True(t, v.gone)
		require.Len(t, v.tried, 21)
		require.Equal(t, time.Second, v.tried[1].Sub(began))
		require.Equal(t, time.Minute, v.tried[20].Sub(v.tried[19]), "it is not busy with it")
		said := logs.TakeAll()
		require.Len(t, said, 2, "that it fails, and that it has succeeded")
		require.Equal(t, "the disk is full", said[0].ContextMap()["error"])
		require.Contains(t, said[1].Message, "is gone from the files of this one")

		untilErased(t.Context(), zap.New(core), erase)
		require.Empty(t, logs.TakeAll(), "nothing was wrong")

		v.fails = 1000
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		untilErased(ctx, zap.New(core), erase)
		require.False(t, v.gone)
		require.Len(t, logs.TakeAll(), 1, "the process has ended")
	})
}
