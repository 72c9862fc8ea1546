// Package erase removes predictions for good: from the streams, the view, the journal, the
// archive and the files of the embedded server. A bucket of hashes, which every process holds in
// memory, keeps what was erased from coming back.
package erase
