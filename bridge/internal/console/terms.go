package console

import (
	"net/url"
	"strings"
	"unicode"
)

// terms splits a search into its terms, as they were written. A term may have spaces in quotes.
func terms(q string) (out []string) {
	var term strings.Builder
	quoted, escaped := false, false
	for _, r := range q {
		switch {
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case !quoted && unicode.IsSpace(r):
			if term.Len() > 0 {
				out = append(out, term.String())
				term.Reset()
			}
			continue
		}
		term.WriteRune(r)
	}
	if term.Len() > 0 {
		out = append(out, term.String())
	}
	return out
}

// termKey is what a term says something about: two terms with one key exclude each other.
func termKey(term string) string {
	if i := strings.IndexAny(term, ":<="); i >= 0 {
		if key := term[:i]; key != "consumer" {
			return key
		}
		name, _, _ := strings.Cut(term, "=")
		return name
	}
	return term
}

// withTerm returns the search with the term instead of another of the same key, or without it
// when it was there.
func withTerm(q, term string) string {
	var out []string
	there := false
	for _, t := range terms(q) {
		if there = there || t == term; termKey(t) != termKey(term) {
			out = append(out, t)
		}
	}
	if !there {
		out = append(out, term)
	}
	return strings.Join(out, " ")
}

// term writes a term of a search, in quotes if its value needs them.
func term(key, value string) string {
	if !strings.ContainsAny(value, "\"\\") && strings.IndexFunc(value, unicode.IsSpace) < 0 && value != "" {
		return key + ":" + value
	}
	return key + `:"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// valuesOf makes a query of names and values in turn.
func valuesOf(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return values
}
