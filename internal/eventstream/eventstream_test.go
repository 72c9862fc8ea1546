package eventstream_test

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/eventstream"
)

func read(t *testing.T, text string) (got []eventstream.Event, err error) {
	t.Helper()
	err = eventstream.Read(strings.NewReader(text), 64, func() {}, func(e eventstream.Event) error {
		got = append(got, e)
		return nil
	})
	return got, err
}

func TestRead(t *testing.T) {
	t.Parallel()
	got, err := read(t, "retry: 1\n\n:\n\n:\nid: 7\n\nevent: a\nid:8\ndata: {\"b\": 1}\n\nother: x\nevent: cut")
	require.ErrorIs(t, err, eventstream.ErrBroken)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, []eventstream.Event{{ID: "7"}, {Name: "a", ID: "8", Data: `{"b": 1}`}}, got, "half an event is none")

	_, err = read(t, "data: "+strings.Repeat("x", 100))
	require.ErrorIs(t, err, bufio.ErrTooLong)
	require.NotErrorIs(t, err, eventstream.ErrBroken)
	errEnough := errors.New("enough")
	err = eventstream.Read(strings.NewReader("id: 1\n\n"), 64, func() {}, func(eventstream.Event) error { return errEnough })
	require.ErrorIs(t, err, errEnough)
}

// What was appended is read as it was.
func FuzzAppendAndRead(f *testing.F) {
	f.Add("event", uint64(1), []byte("{}"), "junk\n\n")
	f.Fuzz(func(t *testing.T, name string, id uint64, data []byte, before string) {
		if strings.ContainsAny(name+string(data), "\r\n") || name == "" || len(name)+len(data) > 32 || strings.HasPrefix(string(data), " ") || name[0] == ' ' {
			return
		}
		_, _ = read(t, before)
		got, err := read(t, string(eventstream.Append(nil, name, &id, data)))
		require.ErrorIs(t, err, eventstream.ErrBroken)
		require.Equal(t, []eventstream.Event{{Name: name, ID: strconv.FormatUint(id, 10), Data: string(data)}}, got)
	})
}
