package journal

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

func TestSetAsideAndResend(t *testing.T) {
	t.Parallel()
	dir, raised := t.TempDir(), &alarms{}
	j := open(t, dir, Config{Alarms: raised})
	want := fill(t, j, 1, 5)
	got, through := drain(t, j, 0)
	for _, r := range got[1:] {
		require.NoError(t, j.SetAside(r, "stream takes 1 MB"))
	}
	require.NoError(t, j.SetAside(got[1], "maximum payload exceeded"), "again")
	j.Settle(through, nil)
	require.NoError(t, j.Close())

	j = open(t, dir, Config{Alarms: raised})
	state := j.State()
	require.Equal(t, 3, state.SetAside)
	require.Positive(t, state.SetAsideBytes)
	require.Zero(t, state.Records)
	all, err := j.Aside()
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Nil(t, all[0].Body)
	require.Equal(t, len(want[1].Body), all[0].Size)
	require.Equal(t, want[1].Header, all[0].Header)
	require.Equal(t, "maximum payload exceeded", all[0].Cause)
	require.False(t, all[0].SetAsideAt.IsZero())
	one, err := j.AsideRecord(want[1].Sequence)
	require.NoError(t, err)
	require.Equal(t, *want[1], one.Record)
	_, err = j.AsideRecord(999)
	require.ErrorIs(t, err, bridge.ErrNotFound)

	// A damaged one is told, stays, and holds up none of the others.
	files, err := filepath.Glob(filepath.Join(dir, asideFolder, "*"))
	require.NoError(t, err)
	text, err := os.ReadFile(files[1])
	require.NoError(t, err)
	for at := range text {
		damaged := append([]byte(nil), text...)
		damaged[at] ^= 1 << (at % 8)
		_, err := decodeAside(damaged)
		require.ErrorIs(t, err, errDamaged)
		_, err = decodeAside(text[:at])
		require.ErrorIs(t, err, errDamaged)
	}
	text[len(text)-1] ^= 1
	require.NoError(t, os.WriteFile(files[1], text, 0o600))
	all, err = j.Aside()
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.NotEmpty(t, raised.of(bridge.AlarmJournalDamaged))

	moved, err := j.Resend(context.Background())
	require.NoError(t, err)
	require.Equal(t, 2, moved)
	require.Equal(t, 1, j.State().SetAside)
	got, _ = drain(t, j, through)
	require.Len(t, got, 2)
	for i, n := range []int{1, 3} {
		require.Greater(t, got[i].Sequence, through)
		require.Equal(t, want[n].Body, got[i].Body)
		require.Equal(t, want[n].Header, got[i].Header)
	}
}

// A journal that is full of what is set aside can be emptied.
func TestResendFromAFullJournal(t *testing.T) {
	t.Parallel()
	raised := &alarms{}
	j := open(t, t.TempDir(), Config{MaxBytes: 100_000, Alarms: raised})
	for n := range 9 {
		r := sized(n, 10_000)
		add(t, j, r)
		require.NoError(t, j.SetAside(*r, "no"))
		j.Settle(r.Sequence, nil)
	}
	require.NotEmpty(t, raised.of(bridge.AlarmJournalFull))
	require.Contains(t, raised.of(bridge.AlarmSetAside)[8].Text, "9 messages, which are set aside in the journal (the last one: no)")
	require.ErrorIs(t, j.Append(context.Background(), sized(1, 10_000)), bridge.ErrFull, "it counts")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := j.Resend(ctx)
	require.ErrorIs(t, err, context.Canceled)
	moved, err := j.Resend(context.Background())
	require.NoError(t, err)
	require.Equal(t, 9, moved)
	require.Zero(t, j.State().SetAsideBytes)
	require.EqualValues(t, 9, j.State().Records)
}

func TestCollectors(t *testing.T) {
	t.Parallel()
	j := open(t, t.TempDir(), Config{})
	want := fill(t, j, 1, 4)
	require.NoError(t, j.SetAside(*want[0], "no"))
	j.Settle(1, nil)
	all := j.Collectors()
	require.Equal(t, 6, testutil.CollectAndCount(all[0]))
	require.Equal(t, 1, testutil.CollectAndCount(all[1], "hookspan_journal_fsync_seconds"))
	require.Equal(t, 1, testutil.CollectAndCount(all[2], "hookspan_journal_fsync_records"))
	for _, c := range all {
		problems, err := testutil.CollectAndLint(c)
		require.NoError(t, err)
		require.Empty(t, problems)
	}
	require.EqualValues(t, 2, j.State().Records)
	require.Equal(t, want[1].At, j.State().Oldest)
}
