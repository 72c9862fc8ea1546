package redial

import "github.com/nats-io/nats.go"

// SetHeard sets the callback for the status of the connection, before Run.
func (j *JetStream) SetHeard(f func(*nats.Conn, nats.Status)) { j.heard = f }
