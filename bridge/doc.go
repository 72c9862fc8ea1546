// Package bridge holds the words that every part of Hookspan shares: the
// [Event] that a delivery becomes, the [Prediction] inside it, the [Filter] that
// picks events, the [Names] of subjects, streams and headers, and the errors
// that a publish can end in.
//
// It depends on the standard library only, so a service that imports it to read
// events gets nothing else with it. Nothing here does any input or output.
package bridge
