package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// naming is the names in a selection that matched nothing.
type naming struct {
	consumer name
	sources  []name
	statuses []name
	cause    name
	causes   []string // the words that cause can be
}

// known returns an error for a name that does not exist, with the names that do. Only verbs that
// found nothing call it: entries are found under names of removed consumers and sources too.
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

type unknownName struct{ error }

// nothing is the error of a verb that found nothing: an unknown name, or else the reason for
// which the report says that it ended early.
func (f *apiFlag) nothing(e *env, n naming, stopped string) error {
	err := f.known(e, n)
	if _, unknown := errors.AsType[*unknownName](err); stopped != "" && !unknown {
		return nil
	}
	return err
}

// oneOf returns an error unless the name is empty, * or one of names.
func oneOf(flag string, n name, names []string) error {
	if n == "" || n == "*" || slices.Contains(names, string(n)) {
		return nil
	}
	if len(names) == 0 {
		return &unknownName{fmt.Errorf("%s: there is no %.80q, and none at all", flag, n)}
	}
	return &unknownName{fmt.Errorf("%s: there is no %.80q: use one of %s", flag, n, strings.Join(names, ", "))}
}

var statuses = []string{bridge.StatusCreated, bridge.StatusProcessing, bridge.StatusCompleted, bridge.StatusFailed, bridge.StatusCanceled}

var deadCauses = words(bridge.DeadPermanent, bridge.DeadRefused, bridge.DeadExhausted, bridge.DeadUndecodable, bridge.DeadConflict,
	bridge.DeadPoison, bridge.DeadTerminated, bridge.DeadNotFound, bridge.DeadUnfinished, bridge.DeadExpired)

func words[T ~string](all ...T) []string {
	out := make([]string, len(all))
	for i, word := range all {
		out[i] = string(word)
	}
	return out
}
