// Package view is the read model of the streams: a SQLite file with predictions, events,
// attempts, dead letters, kept deliveries, alarms and counts. Everything that is listed,
// searched, counted or shown comes from it; schema.sql describes its tables.
//
// The view is derived. A file that is missing, damaged or of another version is made anew
// from the streams, and so is one whose stream of events was made anew or lost its newest
// events. A view made anew has the same rows, except for what no stream holds any more:
//
//   - attempts that were told while no view listened: the lanes of their events say
//     "handled, details unknown", or what dead letters and durables say;
//   - events that have left their stream, and finished predictions that only they told of;
//   - the counts of minutes whose events have left the stream.
//
// Open predictions whose events have left the stream come back by [Config.Restore].
package view
