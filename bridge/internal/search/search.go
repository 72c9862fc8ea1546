// Package search reads the language in which people search predictions: terms that must all
// match, such as
//
//	model:google/* status:failed consumer:billing=failing since:2h "pred 1"
//
// A term is KEY:VALUE, expires<DURATION, missing, or the beginning of an id. A value in double
// quotes may have spaces; \" and \\ stand for " and \ in it. Nothing but the "*" of a model is
// special.
package search

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Limits of a search.
const (
	MaxBytes = 1 << 10
	MaxTerms = 16
)

const possible = "possible are an id or its beginning, id:, model:, status:, source:, ref:, tenant:, consumer:NAME=STATE, missing, expires<24h and since:2h; whatever else is in quotes begins an id"

// Parse returns what the text selects; an empty one selects everything. Durations are those
// before and after now. The error names the term that is wrong and what is possible. It holds
// parts of the text, without controls.
func Parse(text string, now time.Time) (sel adminapi.PredictionSelection, err error) {
	switch {
	case len(text) > MaxBytes:
		return sel, fmt.Errorf("the search has %d bytes, at most %d are possible", len(text), MaxBytes)
	case !utf8.ValidString(text):
		return sel, errors.New("the search is not UTF-8")
	}
	seen := map[string]bool{}
	for n := 0; ; n++ {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		if text == "" {
			return sel, nil
		}
		if n == MaxTerms {
			return sel, fmt.Errorf("the search has more than %d terms", MaxTerms)
		}
		var t term
		if t, text, err = next(text); err != nil {
			return sel, err
		}
		once := t.key
		if t.key == "consumer" {
			once += ":" + t.value
		}
		if seen[once] {
			return sel, t.wrong("%s is there twice", t.key)
		}
		seen[once] = true
		if err := t.apply(&sel, now); err != nil {
			return sel, err
		}
	}
}

// term is one term. Its key is "id" for the beginning of an id, its text as it was written.
type term struct {
	key, value, text string
}

func (t term) wrong(format string, args ...any) error {
	return fmt.Errorf("%.80q: %w", t.text, fmt.Errorf(format, args...))
}

// next splits the first term off.
func next(text string) (t term, rest string, err error) {
	end := strings.IndexFunc(text, unicode.IsSpace)
	if end < 0 {
		end = len(text)
	}
	key, operator := "id", ""
	value := text
	if at := strings.IndexAny(text[:end], `:<"`); at >= 0 && text[at] != '"' {
		key, operator, value = text[:at], text[at:at+1], text[at+1:]
	}
	quoted := strings.HasPrefix(value, `"`)
	if quoted {
		if value, rest, err = unquote(value); err != nil {
			return term{text: text}, "", term{text: text}.wrong("%w", err)
		}
		t = term{key: key, value: value, text: text[:len(text)-len(rest)]}
	} else {
		value = value[:len(value)-(len(text)-end)]
		t, rest = term{key: key, value: value, text: text[:end]}, text[end:]
	}
	switch {
	case operator == "" && !quoted && value == "missing":
		t.key = "missing"
	case operator != "" && !keys[key]:
		return t, "", t.wrong("there is no key %.40q: %s", key, possible)
	case operator == ":" && key == "expires":
		return t, "", t.wrong("write expires<24h")
	case operator == "<" && key != "expires":
		return t, "", t.wrong("write %s:", key)
	case value == "":
		return t, "", t.wrong("a value is missing; %s", possible)
	}
	return t, rest, nil
}

var keys = map[string]bool{"id": true, "model": true, "status": true, "source": true, "ref": true, "tenant": true, "consumer": true, "expires": true, "since": true}

// unquote reads a value in quotes, which the text begins with.
func unquote(text string) (value, rest string, err error) {
	var out strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			rest = text[i+1:]
			if r, _ := utf8.DecodeRuneInString(rest); rest != "" && !unicode.IsSpace(r) {
				return "", "", errors.New("a space must follow the closing quote")
			}
			return out.String(), rest, nil
		case c == '\\' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\'):
			i++
			out.WriteByte(text[i])
		default:
			out.WriteByte(c)
		}
	}
	return "", "", errors.New("the closing quote is missing")
}

// apply adds the term to the selection.
func (t term) apply(sel *adminapi.PredictionSelection, now time.Time) error {
	switch t.key {
	case "id":
		sel.IDPrefix = t.value
		if len(t.value) > bridge.MaxPredictionID {
			return t.wrong("an id has at most %d bytes", bridge.MaxPredictionID)
		}
	case "model":
		sel.Model = t.value
	case "status":
		sel.Status = t.value
	case "source":
		sel.Source = t.value
		if err := bridge.CheckName("source", t.value); err != nil {
			return t.wrong("%w", err)
		}
	case "ref":
		sel.Reference = t.value
	case "tenant":
		sel.Tenant = t.value
	case "missing":
		sel.Missing = true
	case "consumer":
		return t.consumer(sel)
	case "expires":
		d, err := duration(t.value)
		if err != nil {
			return t.wrong("%w", err)
		}
		sel.ExpiresBefore = now.Add(d)
	case "since":
		var err error
		if sel.Since, err = time.Parse(time.RFC3339, t.value); err == nil {
			return nil
		}
		d, err := duration(t.value)
		if err != nil {
			return t.wrong("%w, or a time such as 2026-01-31T15:04:05Z", err)
		}
		sel.Since = now.Add(-d)
	}
	return nil
}

// states are what a consumer can be asked for.
var states = map[string]adminapi.Standing{
	"handled": adminapi.StandingHandled, "failing": adminapi.StandingFailing, "failed": adminapi.StandingFailing, "dead": adminapi.StandingDead,
}

func (t term) consumer(sel *adminapi.PredictionSelection) error {
	name, word, _ := strings.Cut(t.value, "=")
	state, ok := states[word]
	if !ok {
		return t.wrong("write consumer:NAME=STATE, where the state is handled, failing (or failed) or dead")
	}
	if err := bridge.CheckName("consumer", name); err != nil {
		return t.wrong("%w", err)
	}
	sel.Consumers = append(sel.Consumers, adminapi.ConsumerStanding{Consumer: name, State: state})
	return nil
}

// maxDuration is more than anything is kept.
const maxDuration = 366 * 24 * time.Hour

// duration reads a duration of Go, or days such as 7d.
func duration(text string) (time.Duration, error) {
	var d time.Duration
	var err error
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 10)
		d = time.Duration(n) * 24 * time.Hour //nolint:gosec // 10 bits
	} else {
		d, err = time.ParseDuration(text)
	}
	if err != nil || d <= 0 || d > maxDuration {
		return 0, errors.New("a duration is such as 90m, 24h or 7d, at most 366d")
	}
	return d, nil
}
