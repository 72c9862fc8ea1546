package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// naming is what a verb was told to look for and found nothing of.
type naming struct {
	consumer name
	sources  []name
	statuses []name
	cause    name
	causes   []string // of which cause is one
}

// known returns an error for a name that nothing has, with the names that exist. It is
// for verbs that found nothing: what is stored under a name is found also when its
// consumer or source is gone.
func (f *apiFlag) known(e *env, n naming) error {
	if n.consumer != "" || len(n.sources) > 0 {
		var names adminapi.Names
		if err := f.get(e, apiRoute("names"), nil, &names); err != nil {
			return err
		}
		if err := oneOf("--consumer", n.consumer, names.Consumers); err != nil {
			return err
		}
		for _, s := range n.sources {
			if err := oneOf("--source", s, names.Sources); err != nil {
				return err
			}
		}
	}
	for _, s := range n.statuses {
		if err := oneOf("--status", s, statuses); err != nil {
			return err
		}
	}
	return oneOf("--cause", n.cause, n.causes)
}

// unknownName is that of a name which nothing has.
type unknownName struct{ error }

// nothing is the error of a verb that found nothing: that of an unknown name, otherwise
// that of having ended early, which its report says.
func (f *apiFlag) nothing(e *env, n naming, stopped string) error {
	err := f.known(e, n)
	if _, unknown := errors.AsType[*unknownName](err); stopped != "" && !unknown {
		return nil
	}
	return err
}

// oneOf takes the empty name and the one that stands for all.
func oneOf(flag string, n name, names []string) error {
	if n == "" || n == "*" || slices.Contains(names, string(n)) {
		return nil
	}
	if len(names) == 0 {
		return &unknownName{fmt.Errorf("%s: there is no %.80q, and none at all", flag, n)}
	}
	return &unknownName{fmt.Errorf("%s: there is no %.80q: use one of %s", flag, n, strings.Join(names, ", "))}
}

// statuses are those that every provider's words are normalised to.
var statuses = []string{bridge.StatusCreated, bridge.StatusProcessing, bridge.StatusCompleted, bridge.StatusFailed, bridge.StatusCanceled}

// deadCauses are why dead letters are there.
var deadCauses = words(bridge.DeadPermanent, bridge.DeadRefused, bridge.DeadExhausted, bridge.DeadUndecodable, bridge.DeadConflict,
	bridge.DeadPoison, bridge.DeadTerminated, bridge.DeadNotFound, bridge.DeadUnfinished, bridge.DeadExpired)

func words[T ~string](all ...T) []string {
	out := make([]string, len(all))
	for i, word := range all {
		out[i] = string(word)
	}
	return out
}
