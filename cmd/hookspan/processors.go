package main

import "runtime"

// syncing is how many goroutines spend most of their time in fsync while webhooks come as fast
// as they are answered: the journal's committer and the embedded stream's writer.
const syncing = 2

// spareProcessors lets Go run as many goroutines besides those that wait for the disk as there
// are processors. A goroutine in a system call keeps one of GOMAXPROCS until the runtime takes
// it away, 20 µs to 10 ms later, and then waits for another one behind all that are ready. On
// two processors that costs a tenth of the webhooks. GOMAXPROCS in the environment has the last
// word.
func spareProcessors(getenv func(string) (string, bool)) {
	if _, set := getenv("GOMAXPROCS"); !set {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + syncing)
	}
}
