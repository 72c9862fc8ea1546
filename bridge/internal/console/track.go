package console

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// gapAfter is how long nothing happens before that is drawn.
	gapAfter = 10 * time.Second
	// maxInstants bounds the instants of a track, maxLanes the consumers with a lane of their own.
	maxInstants, maxLanes = 400, 12
	// laneWidth is the distance of two lanes, in pixels.
	laneWidth = 14
)

// track is what happened to a prediction, with a lane for each consumer.
type track struct {
	// Lanes are the consumers; the lane of number 0, that of the bridge, is before them.
	Lanes    []string
	Instants []instant
	// Cut is how many earlier instants are left out.
	Cut int
}

// instant is something that happened, or will.
type instant struct {
	At time.Time
	// Lane is that in which it happened.
	Lane      int
	Consumer  string
	Tone      string
	What, Why string
	// Mark says what is unusual, such as that a poll brought the news.
	Mark string
	// Event and Dead are sequences to open, 0 for none.
	Event, Dead uint64
	// After is the time since the instant before, and Gap whether it is drawn.
	After time.Duration
	Gap   bool
	// Ahead: it has not happened yet.
	Ahead bool

	lanes int
}

// trackOf puts what a timeline tells in order.
func trackOf(line *adminapi.Timeline, now time.Time) (t track) {
	p := &line.Prediction
	t.add(instant{At: p.CreatedAt, Tone: "mute", What: "created at the provider"})
	t.add(instant{At: p.CompletedAt, Tone: tone(p.Status), What: p.Status + " at the provider"})
	t.add(instant{At: p.ExpectedBy, Tone: "warn", What: "expected to have ended by then"})
	t.add(instant{At: line.OutputsExpireAt, Tone: "warn", What: "the provider deletes the outputs that no archive has"})
	for i := range line.Events {
		e := &line.Events[i]
		t.event(p, e)
		for _, l := range e.Lanes {
			t.lane(e, &l, now)
		}
	}
	for _, d := range line.DeadLetters {
		t.add(instant{At: d.DiedAt, Consumer: d.Consumer, Tone: "bad", What: "gave up after " + plural(d.Attempts, "attempt", "attempts") + ": " + words(d.Cause), Why: d.Error, Dead: d.Seq})
	}
	slices.SortStableFunc(t.Instants, func(a, b instant) int { return a.At.Compare(b.At) })
	if t.Cut = max(0, len(t.Instants)-maxInstants); t.Cut > 0 {
		t.Instants = t.Instants[t.Cut:]
	}
	t.place(now)
	return t
}

// add adds an instant, unless nobody knows when it was.
func (t *track) add(m instant) {
	if !m.At.IsZero() {
		t.Instants = append(t.Instants, m)
	}
}

func (t *track) event(p *bridge.PredictionState, e *adminapi.TimelineEvent) {
	m := instant{At: e.StoredAt, Tone: "busy", Event: e.Sequence}
	switch e.Kind {
	case bridge.KindWatch:
		m.What, m.Tone = "announced", "mute"
		if p.Announced != nil && p.Announced.Submitted {
			m.What = "submitted through the bridge"
		}
	case bridge.KindArchived:
		m.What, m.Tone = "outputs archived", "good"
		if p.Stored < p.OutputCount {
			m.What, m.Tone = fmt.Sprintf("outputs archived: %d of %d", p.Stored, p.OutputCount), "warn"
		}
	case bridge.KindLost:
		m.What, m.Tone = "given up: the provider was asked in vain", "bad"
		if p.Lost != nil {
			m.Why = p.Lost.Error
		}
	case bridge.KindPrediction:
		m.What, m.Tone = e.Status, tone(e.Status)
		if bridge.Terminal(e.Status) && p.Error != "" && !e.Conflict {
			m.Why = p.Error
		}
		if e.Conflict {
			m.Tone, m.Mark = "warn", "contradicts the end that came before"
		}
	default:
		m.What = eventName(e.Kind, e.Status)
	}
	if e.Kind == bridge.KindPrediction {
		m.What += " arrived and was stored"
		if took := e.StoredAt.Sub(e.ReceivedAt); !e.ReceivedAt.IsZero() && took >= time.Millisecond {
			m.What += " in " + seconds(took)
		}
	}
	if m.Mark == "" && e.Kind == bridge.KindPrediction && e.Origin != bridge.OriginWebhook {
		m.Mark = e.Origin
	}
	t.add(m)
}

func (t *track) lane(e *adminapi.TimelineEvent, l *adminapi.Lane, now time.Time) {
	tries := slices.Clone(l.Failed)
	if last := l.Last; last != nil && !slices.ContainsFunc(tries, func(a adminapi.LaneAttempt) bool { return a.At.Equal(last.At) }) {
		tries = append(tries, *last)
	}
	for i, try := range tries {
		if try.Verdict == bridge.VerdictSkipped {
			continue
		}
		m := instant{At: try.At, Consumer: l.Consumer, Why: firstLine(try.Error)}
		name := "attempt"
		if try.Number > 0 {
			name = "attempt " + strconv.Itoa(try.Number)
		}
		if i == 0 && try.Number > 1 && len(tries) > 1 {
			m.Mark = "earlier ones are not kept"
		}
		m.What, m.Tone = verdictOf(try.Verdict)
		m.What = name + " " + m.What
		if try.Took > 0 && try.Verdict != bridge.VerdictSnoozed {
			m.What += " in " + seconds(try.Took)
		}
		if e.Kind != bridge.KindPrediction {
			m.What += ", on " + eventName(e.Kind, e.Status)
		}
		t.add(m)
	}
	if l.Next.After(now) {
		t.add(instant{At: l.Next, Consumer: l.Consumer, Tone: "warn", What: "next attempt"})
	}
}

func verdictOf(verdict string) (what, tone string) {
	switch verdict {
	case bridge.VerdictDone:
		return "handled it", "good"
	case bridge.VerdictRetry:
		return "failed", "bad"
	case bridge.VerdictDead:
		return "failed for good", "bad"
	case bridge.VerdictSnoozed:
		return "was put off", "mute"
	case bridge.VerdictGiveBack:
		return "was given back by a process that stopped", "mute"
	case bridge.VerdictLeft:
		return "lost its lease", "warn"
	}
	return words(verdict), "mute"
}

// place gives the consumers their lanes, in the order of their names, and measures the gaps.
func (t *track) place(now time.Time) {
	for _, m := range t.Instants {
		if m.Consumer != "" && !slices.Contains(t.Lanes, m.Consumer) {
			t.Lanes = append(t.Lanes, m.Consumer)
		}
	}
	slices.Sort(t.Lanes)
	t.Lanes = t.Lanes[:min(len(t.Lanes), maxLanes)]
	for i := range t.Instants {
		m := &t.Instants[i]
		m.lanes = len(t.Lanes) + 1
		m.Lane = slices.Index(t.Lanes, m.Consumer) + 1
		m.Ahead = m.At.After(now)
		if i > 0 {
			m.After = m.At.Sub(t.Instants[i-1].At)
			m.Gap = m.After > gapAfter
		}
	}
}

// Graph draws the lanes of an instant, with a dot in its own.
func (m instant) Graph() template.HTML {
	dot := fmt.Sprintf(`<circle class="%s%s" cx="%d" cy="16" r="4.5"/>`, m.Tone, map[bool]string{true: " ahead"}[m.Ahead], m.Lane*laneWidth+laneWidth/2)
	return graph(m.lanes, "", dot)
}

// GapGraph draws the lanes of the time before an instant in which nothing happened.
func (m instant) GapGraph() template.HTML { return graph(m.lanes, " gap", "") }

func graph(lanes int, class, dot string) template.HTML {
	var out strings.Builder
	fmt.Fprintf(&out, `<svg class="graph%s" width="%d" aria-hidden="true">`, class, lanes*laneWidth)
	for i := range lanes {
		fmt.Fprintf(&out, `<line x1="%[1]d" x2="%[1]d" y1="0" y2="100%%"/>`, i*laneWidth+laneWidth/2)
	}
	out.WriteString(dot + "</svg>")
	return template.HTML(out.String()) //nolint:gosec // numbers and words of our own
}

// Begin is when the track begins.
func (t track) Begin() time.Time {
	if len(t.Instants) == 0 {
		return time.Time{}
	}
	return t.Instants[0].At
}

// after writes a time as how long it was after another, with its own as the title.
func after(at, begin time.Time) template.HTML {
	exact := at.UTC().Format("2006-01-02T15:04:05.000Z")
	words := "+" + offset(at.Sub(begin))
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, exact, exact, words)) //nolint:gosec // three texts of our own
}

// offset writes a length of time with as much detail as one sees.
func offset(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.3f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d:%02d min", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d:%02d h", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
