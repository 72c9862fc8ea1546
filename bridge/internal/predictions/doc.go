// Package predictions knows every prediction that was announced or heard of. One process
// leads: it holds the [lease], folds the events into the prediction store, which is the
// bucket of predictions, and runs the poller for those whose webhook does not come. Any
// process reads the store with a [Reader].
package predictions
