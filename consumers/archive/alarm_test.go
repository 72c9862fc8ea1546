package archive

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestAlarmsOncePerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.ErrorLevel)
		a := newAlarms(zap.New(core))
		raise := func(kind, about string) int {
			a.raise(kind, about, "text", zap.String("host", about))
			return len(logs.TakeAll())
		}
		require.Equal(t, 1, raise(alarmRefused, "a"))
		require.Equal(t, 0, raise(alarmRefused, "a"))
		require.Equal(t, 1, raise(alarmRefused, "b"))
		require.Equal(t, 1, raise(alarmSpace, ""))
		<-time.After(alarmEvery - time.Nanosecond) // of the bubble, which takes no time
		require.Equal(t, 0, raise(alarmRefused, "a"))
		<-time.After(time.Nanosecond)
		require.Equal(t, 1, raise(alarmRefused, "a"))
	})
}

// The hosts are the sender's choice, so neither the lines nor the memory may grow
// with them.
func TestAlarmsOfManyHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.ErrorLevel)
		a := newAlarms(zap.New(core))
		for range 2 {
			for i := range 10 * maxAlarms {
				a.raise(alarmRefused, fmt.Sprint(i), "text")
			}
			require.Len(t, logs.TakeAll(), maxAlarms+1)
			require.LessOrEqual(t, len(a.last), maxAlarms+1)
			<-time.After(alarmEvery)
		}
	})
}

func TestAlarmOncePerHost(t *testing.T) {
	b := setup(t, nil)
	for i := range 3 {
		require.Error(t, b.handle(newEvent(fmt.Sprint("p", i), "https://evil.example/a", "https://evil.example/b", "https://other.example/")))
	}
	require.Equal(t, 2, b.alarms(alarmRefused))
}
