// Package predictions has the leader of the polling. Of all processes one leads: it holds the
// [lease], runs the poller for predictions whose webhook does not come, and keeps what is open
// where a new view finds it. What is known of predictions comes from the view; what processes
// must share beside the events lies in the bucket of polls.
package predictions
