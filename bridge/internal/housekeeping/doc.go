// Package housekeeping looks after the streams while the bridge runs: it makes room in
// the stream of events, and finds what went missing, what cannot be read and a
// clock that jumped. Nothing here ever stops the bridge from accepting webhooks:
// what is found is an alarm.
package housekeeping
