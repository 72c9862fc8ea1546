package main

import (
	"errors"
	"time"
)

// moment is a flag: a time, or how long ago it was.
type moment struct{ time.Time }

// UnmarshalText is called by kong.
func (m *moment) UnmarshalText(text []byte) error {
	if ago, err := time.ParseDuration(string(text)); err == nil && ago >= 0 {
		m.Time = time.Now().Add(-ago)
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return errors.New("write a time such as 2026-01-31T15:04:05Z, or how long ago it was, such as 2h")
	}
	m.Time = at
	return nil
}

// query is the time as the API reads it.
func (m moment) query() string {
	if m.IsZero() {
		return ""
	}
	return m.UTC().Format(time.RFC3339Nano)
}
