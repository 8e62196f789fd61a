package broker

// GapReason says why events are missing.
type GapReason string

// The reasons of a gap.
const (
	// GapExpired: the position is older than everything held anywhere. The
	// subscription goes on from the oldest event.
	GapExpired GapReason = "expired"
	// GapReset: the id is not one of this stream's, or the stream was replaced or
	// rewound. The subscription goes on where a new one would (Request.From).
	GapReset GapReason = "reset"
	// GapUnknown: the id cannot be read. The subscription goes on where a new one
	// would (Request.From).
	GapUnknown GapReason = "unknown"
)

// Gap tells a subscriber that events may be missing between what it had and what
// comes next.
type Gap struct {
	Reason GapReason
	// Requested is the id as the subscriber gave it, or the position it had.
	Requested string
	// Oldest is the oldest event held anywhere; the zero ID where there is none.
	Oldest ID
	// At is the position from which the subscription goes on.
	At ID
}
