package journal

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEveryByteOfARecordCounts(t *testing.T) {
	t.Parallel()
	want := record(7)
	want.Sequence, want.At = 1<<40, time.Unix(1, 2).UTC()
	e, err := encode(want, want.At)
	require.NoError(t, err)
	e.stamp(9, want.Sequence, 3)
	require.Equal(t, want.Sequence-3, batchOf(e.data))
	got, err := decode(e.data, 9)
	require.NoError(t, err)
	require.Equal(t, *want, got)
	require.Equal(t, len(e.data), cap(e.data), "its size is known before")
	for at := range e.data {
		for bit := range 8 {
			e.data[at] ^= 1 << bit
			_, err := decode(e.data, 9)
			require.ErrorIs(t, err, errDamaged)
			e.data[at] ^= 1 << bit
		}
		_, err := decode(e.data[:at], 9)
		require.ErrorIs(t, err, errDamaged)
	}
	_, err = decode(e.data, 8)
	require.ErrorIs(t, err, errDamaged, "of another generation")
}

// FuzzDecode gives the decoder records whose checksum holds, and requires that what it takes
// comes out the same again.
func FuzzDecode(f *testing.F) {
	for n := range 3 {
		e, err := encode(record(n), time.Unix(int64(n), 0))
		require.NoError(f, err)
		f.Add(e.data)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		data = append([]byte(nil), data...)
		if len(data) >= prefixLen {
			binary.LittleEndian.PutUint32(data, magic)
			binary.LittleEndian.PutUint64(data[8:], 9)
			binary.LittleEndian.PutUint32(data[4:], crc32.Update(unstamped(data), castagnoli, data[stampStart:stampEnd]))
		}
		first, err := decode(data, 9)
		if err != nil {
			return
		}
		e, err := encode(&first, first.At)
		require.NoError(t, err)
		e.stamp(9, first.Sequence, 0)
		second, err := decode(e.data, 9)
		require.NoError(t, err)
		require.Equal(t, first, second)
	})
}
