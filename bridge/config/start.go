package config

import (
	"fmt"
	"time"

	"github.com/hookspan/hookspan/consumers"
)

// ParseStart parses where a durable begins: "new", "all" or an RFC 3339 time.
func ParseStart(s string) (consumers.Start, error) {
	switch s {
	case "new":
		return consumers.Start{}, nil
	case "all":
		return consumers.Start{All: true}, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return consumers.Start{}, fmt.Errorf("start is %.40q: use new, all, or a time such as 2026-01-31T15:04:05Z", s)
	}
	return consumers.Start{At: at}, nil
}
