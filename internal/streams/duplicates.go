package streams

import "time"

// The windows in which a stream knows a message id again, and stores no second message.
const (
	// MinDuplicates is the shortest window of events: [Config].Duplicates is longer where a
	// sender goes on for longer (bridge/config takes the longest retry span of the sources).
	// A million ids in it cost the server 133 to 185 MiB.
	MinDuplicates = 2 * time.Hour

	deadDuplicates = 24 * time.Hour

	// ringDuplicates is the server's default, for streams of which nothing relies on it. In
	// the ring of refused deliveries it spans most of a sender's retries.
	ringDuplicates = 2 * time.Minute
)
