// Package bridge holds the nouns that every part of Hookspan and its users share: the
// [Event] that a delivery becomes, the [Prediction] inside it and its current
// [PredictionState], the [Filter] that picks events, the [DeadLetter] of an event that a
// consumer gave up on, the [KeptDelivery] that became no event, and the [Names] of
// subjects, streams and headers.
//
// It depends on the standard library only and does no input or output, so a service can
// import it to read events without anything else.
package bridge
