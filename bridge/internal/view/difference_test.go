package view

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

var (
	livesFlag = flag.Int("view.lives", 3, "how many random streams TestAnyBlocksGiveTheSameRows folds")
	seedFlag  = flag.Uint64("view.seed", 0, "the stream that it folds; 0 takes others each time")
)

// lives is a random stream of events about a few predictions.
func lives(t testing.TB, random *rand.Rand, n int) (out []message) {
	ids := []string{"plain", "/slash", "a/completed/b", "ümlaut", "=mark", "bad\xffbytes", "%zz", "x"}
	stored := foldtest.Noon
	known := map[string][]message{}
	for seq := uint64(1); len(out) < n; seq += 1 + random.Uint64N(3) {
		stored = stored.Add(time.Duration(random.Int64N(int64(10 * time.Minute))))
		if random.IntN(200) == 0 {
			stored = stored.Add(30 * time.Hour)
		}
		id := fmt.Sprint("p", random.IntN(n/8+1))
		if random.IntN(4) == 0 {
			id = ids[random.IntN(len(ids))]
		}
		m := message{seq: seq, stored: stored, at: fold.At{Sequence: seq, StoredAt: stored}}
		if before := known[id]; len(before) > 0 && random.IntN(8) == 0 { // a copy, or the same again
			copied := before[random.IntN(len(before))]
			m.event = copied.event
			if m.at.Again = random.IntN(2) == 0; m.at.Again {
				m.at.Original = copied.seq
			}
			out = append(out, m)
			continue
		}
		e := chapter(t, random, id)
		e, err := bridge.DecodeEvent(e.Header(), e.Body)
		if err == nil {
			err = checkEvent(e)
		}
		if err == nil { // what the view leaves out is not in the stream
			m.event = e
			out, known[id] = append(out, m), append(known[id], m)
		}
	}
	return out
}

// chapter is something that can happen to a prediction.
func chapter(t testing.TB, random *rand.Rand, id string) *bridge.Event {
	n := random.IntN(1000)
	told := func(rest string) *bridge.Event {
		e := says(t, "x", rest)
		e.ID, e.PredictionID = id+e.ID[1:], id
		e.Model = fmt.Sprint("m/", random.IntN(400))
		return e
	}
	switch random.IntN(9) {
	case 0:
		e := watched(t, "x", bridge.Watch{Reference: fmt.Sprint("order ", n%5), Tenant: []string{"", "acme"}[n%2], EstimatedDuration: float64(n)})
		e.ID, e.PredictionID = id+e.ID[1:], id
		if n%3 == 0 {
			e.Origin = bridge.OriginClaim
		}
		return e
	case 1, 2:
		return told(fmt.Sprint(running, `,"n":`, n))
	case 3:
		return told(fmt.Sprint(`"status":"created","n":`, n))
	case 4:
		return told(fmt.Sprint(`"status":"failed","error":"`, n%3, `"`))
	case 5:
		return archivedOf(t, told(finished))
	case 6:
		lost, err := (&bridge.Lost{Source: "get3w", Prediction: "x", Cause: bridge.DeadNotFound, LostAt: foldtest.Noon}).Event()
		require.NoError(t, err)
		lost.ID, lost.PredictionID = id+lost.ID[1:], id
		return lost
	}
	return told(finished)
}

// However a stream is cut into blocks, whatever fails between them, whenever the process is
// killed and whenever old predictions are removed: the rows are those of a view that is made
// anew.
func TestAnyBlocksGiveTheSameRows(t *testing.T) {
	t.Parallel()
	for range *livesFlag {
		seed := cmp.Or(*seedFlag, rand.Uint64()) //nolint:gosec // it is shown, to be repeated
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // repeatable
			msgs, keep := lives(t, random, 1000), 24*time.Hour
			open := func(name string) *viewed {
				v := filled(t, filepath.Join(t.TempDir(), name), 0, 1)
				v.cfg.Keep = keep
				require.NoError(t, v.write(func(c *conn) error { return c.setPosition(v.events().name, v.events().at()) }))
				t.Cleanup(func() { require.NoError(t, v.drop()) })
				return &viewed{View: v, r: &rig{t: t}}
			}
			live, anew := open("live.db"), open("anew.db")
			for rest := msgs; len(rest) > 0; {
				n := min(1+random.IntN(1+random.IntN(300)), len(rest))
				b := block{stream: live.events(), msgs: rest[:n], last: rest[n-1].seq, stored: rest[n-1].stored}
				switch random.IntN(6) {
				case 0: // the transaction fails at its end
					failing := *live.events()
					failing.fold = func(c *conn, s *stream, b block) (func(), error) {
						_, err := foldEvents(c, s, b)
						return nil, errors.Join(err, errFull)
					}
					require.ErrorIs(t, failing.foldBlock(b), errFull)
				case 1:
					require.NoError(t, live.drop())
					require.NoError(t, live.open())
				case 2:
					_, err := live.prunePredictions(time.Now())
					require.NoError(t, err)
				}
				require.NoError(t, live.events().foldBlock(b))
				rest = rest[n:]
			}
			for rest := msgs; len(rest) > 0; {
				n := min(blockMessages, len(rest))
				foldDirectly(t, anew.View, rest[:n])
				rest = rest[n:]
			}
			for _, x := range []*viewed{live, anew} {
				_, err := x.prunePredictions(time.Now())
				require.NoError(t, err)
			}
			requireSameRows(t, anew.rows(), live.rows())
		})
	}
}

// requireSameRows shows some of the rows that differ.
func requireSameRows(t testing.TB, want, got []string) {
	t.Helper()
	without := func(a, b []string) (out []string) {
		have := map[string]bool{}
		for _, row := range b {
			have[row] = true
		}
		for _, row := range a {
			if !have[row] {
				out = append(out, row)
			}
		}
		return out[:min(len(out), 5)]
	}
	require.Equal(t, without(want, got), without(got, want))
	require.Len(t, got, len(want))
}

var errFull = errors.New("the disk is full")
