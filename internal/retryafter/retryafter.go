// Package retryafter reads the Retry-After header of HTTP answers.
package retryafter

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Max caps longer times.
const Max = 24 * time.Hour

// Parse reads a number of seconds or a date (RFC 9110, section 10.2.3). It returns 0 for a past
// time or an unreadable value, and at most [Max].
func Parse(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), Max)
	}
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(min(seconds, uint64(Max/time.Second))) * time.Second
}
