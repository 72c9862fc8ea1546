// Package predictions knows every prediction that was announced or heard of, and sees
// to it that each gets its end: a ledger that is folded from the events, and a
// reconciler that asks the provider for those whose webhook does not come.
package predictions
