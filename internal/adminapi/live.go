package adminapi

import "github.com/hookspan/hookspan/bridge"

// Names of what a live stream tells.
const (
	// LiveEvent has an [Event], LiveAlarm an alarm with its sequence.
	LiveEvent = "event"
	LiveAlarm = "alarm"
	// LiveGap and LiveSampled have a [LeftOut].
	LiveGap     = "gap"
	LiveSampled = "sampled"
)

// Causes of a gap.
const (
	// GapBehind: the client was further behind than it may catch up.
	GapBehind = "behind"
	// GapGone: the messages are not in the stream any more.
	GapGone = "gone"
	// GapAnew: the stream was made anew, or lost its newest messages; sequences begin again.
	GapAnew = "anew"
)

// LeftOut says what a live stream does not tell.
type LeftOut struct {
	// LeftOut is how many messages that is at most: some of them may not have been selected.
	// It is 0 of a stream that was made anew, where nobody knows.
	LeftOut uint64 `json:"left_out"`
	// After and Until are sequences: the messages behind the one up to the other.
	After uint64 `json:"after"`
	Until uint64 `json:"until"`
	// Cause is that of a gap.
	Cause string `json:"cause,omitempty"`
}

// LiveItem is one thing that a live stream tells. Without a name it is only the place up to
// which the client has everything.
type LiveItem struct {
	Name string
	// Sequence is where the client goes on when it comes again.
	Sequence uint64
	// Data is JSON on one line. It must not be changed.
	Data []byte
}

// LivePlace is where and how a client reads a live stream.
type LivePlace struct {
	// After is the last sequence that the client has; nil begins with what is stored from now on.
	After *uint64
	// Rate is how many items it is told a second, beyond a burst of two seconds; 0 is
	// [MaxLiveRate].
	Rate int
}

// MaxLiveRate bounds [LivePlace.Rate].
const MaxLiveRate = 200

// LiveEvents selects events as they are stored.
type LiveEvents struct {
	LivePlace
	// Filter selects all events of predictions when it is zero, or what the consumer reads when
	// that is named.
	Filter bridge.Filter
	// Prediction and Consumer select all when empty.
	Prediction, Consumer string
}

// LiveAlarms selects alarms as they are stored.
type LiveAlarms struct {
	LivePlace
	// Kind and Subject select all when empty.
	Kind, Subject string
}
