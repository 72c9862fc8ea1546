// Package bridge holds the nouns that every part of Hookspan and its users share: the
// [Event] that a delivery becomes, the [Prediction] inside it and what is known of one
// ([PredictionState]), the [Filter] that picks events, the [DeadLetter] of an event that a
// consumer gave up on, the [KeptDelivery] that became no event, and the [Names] of
// subjects, streams and headers.
//
// It depends on the standard library only, so a service that imports it to read events
// gets nothing else with it. Nothing here does any input or output.
package bridge
