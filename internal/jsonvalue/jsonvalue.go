// Package jsonvalue finds parts of JSON without decoding all of it.
package jsonvalue

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Whole is the pointer to all of a value, as a fragment of a URL writes it (RFC 6901 section 6).
const Whole = "#"

// At returns the JSON value that a JSON pointer (RFC 6901) or [Whole] leads to, nil when there
// is none. It takes the last of several members of the same name.
func At(body json.RawMessage, pointer string) json.RawMessage {
	if pointer == Whole {
		return bytes.TrimSpace(body)
	}
	rest, ok := strings.CutPrefix(pointer, "/")
	if !ok {
		return nil
	}
	for token := range strings.SplitSeq(rest, "/") {
		if body = member(body, Unescape(token)); body == nil {
			return nil
		}
	}
	return body
}

// In is [At] for an object whose members are known.
func In(body json.RawMessage, members map[string]json.RawMessage, pointer string) json.RawMessage {
	name, rest, deeper := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	value := members[Unescape(name)]
	switch {
	case !strings.HasPrefix(pointer, "/"):
		return At(body, pointer)
	case deeper:
		return At(value, "/"+rest)
	}
	return value
}

// Unescape returns the name that a token of a pointer is.
func Unescape(token string) string {
	if !strings.Contains(token, "~") {
		return token
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
}

// member returns the named member of an object or the item of that number of a list.
func member(value json.RawMessage, token string) json.RawMessage {
	value = bytes.TrimSpace(value)
	switch {
	case len(value) == 0:
		return nil
	case value[0] == '{':
		fields, err := Members(value)
		if err != nil {
			return nil
		}
		return fields[token]
	case value[0] == '[':
		var list []json.RawMessage
		n, err := strconv.Atoi(token)
		if err != nil || json.Unmarshal(value, &list) != nil || n < 0 || n >= len(list) {
			return nil
		}
		return list[n]
	}
	return nil
}

// Nothing reports whether a JSON value says nothing: it is absent, null, or an empty text, list
// or object.
func Nothing(raw json.RawMessage) bool {
	switch string(bytes.TrimSpace(raw)) {
	case "", "null", `""`, "[]", "{}":
		return true
	}
	return false
}

// Members is json.Unmarshal into a map, in half of the time.
func Members(body []byte) (map[string]json.RawMessage, error) {
	rest := bytes.TrimLeft(body, jsonSpace)
	if len(rest) == 0 || rest[0] != '{' || !json.Valid(body) {
		var fields map[string]json.RawMessage // for the error
		err := json.Unmarshal(body, &fields)
		if err == nil && fields == nil {
			err = errors.New("it is null, not an object")
		}
		return fields, err
	}
	fields := make(map[string]json.RawMessage, 12)
	for rest = bytes.TrimLeft(rest[1:], jsonSpace); rest[0] != '}'; {
		name := rest[:valueLen(rest)]
		rest = bytes.TrimLeft(rest[len(name):], jsonSpace+":")
		value := rest[:valueLen(rest)]
		rest = bytes.TrimLeft(rest[len(value):], jsonSpace+",")
		fields[Text(name)] = bytes.Clone(value)
	}
	return fields, nil
}

const jsonSpace = " \t\r\n"

// valueLen returns the length of the JSON value that b begins with; b is part of valid JSON.
func valueLen(b []byte) int {
	for at, depth := 0, 0; ; {
		switch b[at] {
		case '{', '[':
			depth++
			at++
		case '}', ']':
			depth--
			at++
		case '"':
			for at++; b[at] != '"'; at++ {
				if b[at] == '\\' {
					at++
				}
			}
			at++
		default:
			if at++; depth == 0 { // a number, true, false or null
				return at + bytes.IndexAny(b[at:], jsonSpace+",}]")
			}
		}
		if depth == 0 {
			return at
		}
	}
}

// Text returns raw's string, or "" when raw is no string.
func Text(raw json.RawMessage) string {
	if len(raw) == 0 || raw[0] != '"' {
		return ""
	}
	if n := len(raw); n >= 2 && raw[n-1] == '"' && bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1 : n-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// Empty reports whether raw is absent, null or "".
func Empty(raw json.RawMessage) bool {
	return len(raw) == 0 || string(raw) == "null" || string(raw) == `""`
}

// Time returns the time of an RFC 3339 text, zero when raw is none.
func Time(raw json.RawMessage) time.Time {
	t, err := time.Parse(time.RFC3339Nano, Text(raw))
	// RFC 3339 in UTC cannot express other years.
	if year := t.UTC().Year(); err != nil || year < 1 || year > 9999 {
		return time.Time{}
	}
	return t
}

// milliseconds are numbers beyond any second until the year 5138.
const milliseconds = 100_000_000_000

// AnyTime returns a time that a provider has written as RFC 3339 text, or as a number of seconds
// or milliseconds since 1970; zero when it is none.
func AnyTime(raw json.RawMessage) time.Time {
	if t := Time(raw); !t.IsZero() || len(raw) == 0 {
		return t
	}
	number := string(raw)
	if s := Text(raw); s != "" {
		number = s
	}
	n, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil || !(n > 0 && n <= 1e15): // NaN too
		return time.Time{}
	case n >= milliseconds:
		return time.UnixMilli(int64(n)).UTC()
	}
	return time.UnixMicro(int64(n * 1e6)).UTC()
}
