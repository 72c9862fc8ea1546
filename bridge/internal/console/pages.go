package console

import "maps"

// pages are all pages, by their patterns.
var pages = union(nowPages, firstPages, predictionPages, deadPages, keptPages, consumerPages, modelPages, livePages, jobPages, systemPages)

// acts are what a person can do, by the patterns of their forms.
var acts = union(firstActs, predictionActs, deadActs, keptActs, consumerActs, jobActs)

// streams are the pages' live parts, by their patterns.
var streams = union[stream](liveStreams)

// union returns all entries of some tables, one of each part of the console.
func union[T any](tables ...map[string]T) map[string]T {
	all := map[string]T{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}
