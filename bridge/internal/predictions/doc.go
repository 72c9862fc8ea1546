// Package predictions keeps the state of every prediction that was announced or that an
// event told of. One process leads: it holds the [lease], folds the events into the
// prediction store, which is a bucket, and runs the poller for predictions whose webhook
// does not come. Any process reads the store with a [Reader].
package predictions
