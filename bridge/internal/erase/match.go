package erase

import (
	"encoding/json"
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

// Target is a prediction to erase.
type Target struct{ Source, ID string }

// Message is a message of a stream, or what is left of one.
type Message struct {
	Subject string
	Header  bridge.Header
	Body    []byte
}

// known reports whether a prediction is one of those that are looked for. An empty source is
// any one.
type known func(source, id string) bool

// is reports whether the message is of such a prediction, or names one. A message that says in
// its header whose event it is, is of that prediction alone. All others are searched: their
// bodies may not be decodable.
func (has known) is(names bridge.Names, m Message) bool {
	if id, err := m.Header.Value("ce-subject"); err == nil && id != "" {
		source, err := m.Header.Value("ce-source")
		return err == nil && has(strings.TrimPrefix(source, "/sources/"), id)
	}
	source := keptSource(names, m.Subject)
	named := func(id string) bool { return has(source, id) }
	if _, tail, ok := strings.Cut(m.Subject, names.PollsSubject("")); ok {
		if t := strings.SplitN(tail, ".", 3); len(t) == 3 {
			id, err := bridge.DecodeToken(t[2])
			return err == nil && has(t[1], id) // another source may have a prediction of that id
		}
	}
	for _, values := range m.Header {
		for _, v := range values {
			if plain, err := (bridge.Header{"v": {v}}).Value("v"); err == nil && mentions(plain, named) {
				return true
			}
		}
	}
	return mentions(string(m.Body), named)
}

// keptSource is the source in the subject of a kept delivery, "" for other subjects.
func keptSource(names bridge.Names, subject string) string {
	for _, prefix := range []string{names.Quarantine("", ""), names.Refused("", ""), strings.TrimSuffix(names.UnconfirmedSubjects()[0], ">")} {
		if tail, ok := strings.CutPrefix(subject, strings.TrimRight(prefix, ".")+"."); ok {
			source, _, _ := strings.Cut(tail, ".")
			return source
		}
	}
	return ""
}

// shortest is from how many bytes on an id is recognised outside of quotes: shorter ones, such
// as 7, stand in texts for other things.
const shortest = 8

// mentions reports whether a text names a prediction: as a JSON string, as the beginning of the
// id of one of its events, or, if the id is not too short, as a word. Of a text that was made to
// be slow, with quotes that never end, only words count behind its first quotes.
func mentions(text string, named func(id string) bool) bool {
	room := roomFor * (len(text) + maxQuoted)
	for at := 0; at < len(text); {
		switch c := text[at]; {
		case c == '"' && room > 0:
			value, next, looked := quoted(text, at)
			room -= looked
			if value != "" && (named(value) || namedEvent(value, named)) {
				return true
			}
			if at = next; otherID(value) {
				at += len(value)
			}
		case wordByte(c):
			end := at
			for end < len(text) && wordByte(text[end]) {
				end++
			}
			if end-at >= shortest && end-at <= bridge.MaxPredictionID && named(text[at:end]) {
				return true
			}
			at = end
		default:
			at++
		}
	}
	return false
}

func wordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '-'
}

// otherID reports whether a quoted text is an id that continues a shorter one, such as that of
// a part or a version: long enough to be looked for, and then a separator and more.
func otherID(text string) bool {
	head := 0
	for head < len(text) && wordByte(text[head]) {
		head++
	}
	if head < shortest || len(text) < head+2 {
		return false
	}
	for _, c := range []byte(text[head:]) {
		if !wordByte(c) && !strings.ContainsRune(".:@~+|#", rune(c)) {
			return false
		}
	}
	return true
}

// maxQuoted bounds a string that can be an id, as it is written, in bytes: each byte can have
// an escape.
const maxQuoted = 6*bridge.MaxPredictionID + 256

// roomFor is how often each byte of a text is looked at in search of strings, in the mean. Of
// JSON it is less than twice.
const roomFor = 8

// quoted returns the JSON string that begins at a quote, "" when it is none that can be an id,
// where to go on, which is behind the quote, since broken text has quotes anywhere, and how many
// bytes it looked at.
func quoted(text string, at int) (value string, next, looked int) {
	end := at + 1
	for ; end < len(text) && end-at <= maxQuoted; end++ {
		switch text[end] {
		case '\\':
			end++
		case '"':
			raw := text[at : end+1]
			if !strings.Contains(raw, `\`) {
				return raw[1 : len(raw)-1], at + 1, len(raw)
			}
			if json.Unmarshal([]byte(raw), &value) != nil {
				value = ""
			}
			return value, at + 1, len(raw)
		}
	}
	return "", at + 1, end - at
}

// namedEvent reports whether a text is the id of an event of such a prediction, which ends in
// "/<status>/<digest>".
func namedEvent(text string, named func(id string) bool) bool {
	for range 2 {
		at := strings.LastIndexByte(text, '/')
		if at <= 0 {
			return false
		}
		text = text[:at]
	}
	return named(text)
}
