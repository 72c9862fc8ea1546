package view

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// maxNormalised bounds a normalised error, in bytes. What it is made of is bounded by
	// maxText.
	maxNormalised = 256
	// maxPasses bounds the passes over one error. An ordinary error takes two.
	maxPasses = 8
	// anything is what differs from error to error. Alone it is the normalised error of a text
	// that no number of passes settles, and of the errors too many of a model.
	anything = '#'
)

// normalise makes errors equal that differ only in what names one case: numbers, hexadecimal
// texts and other ids, quoted texts, and the queries of URLs. Each becomes "#". White space and
// what cannot be printed becomes one space. The result is a fixed point: normalise returns it as
// it is.
func normalise(text string) string {
	text = printable.Truncate(text, maxText)
	for range maxPasses {
		next := normaliseOnce(text)
		if next == text {
			return text
		}
		text = next
	}
	return string(anything)
}

// normaliser writes a normalised text.
type normaliser struct {
	in    string
	at    int
	out   []byte
	inURL bool
}

func normaliseOnce(text string) string {
	n := normaliser{in: text, out: make([]byte, 0, min(len(text), maxNormalised))}
	for n.at < len(n.in) && len(n.out) < maxNormalised {
		n.step()
	}
	return strings.TrimSpace(printable.Truncate(string(n.out), maxNormalised))
}

// inWord reports whether the rune is part of a word. A placeholder is part of it, as the digits
// were that it stands for.
func inWord(r rune) bool { return isDigit(r) || unicode.IsLetter(r) }

func isDigit(r rune) bool { return r == anything || unicode.IsDigit(r) }

func (n *normaliser) step() {
	rest := n.in[n.at:]
	r, size := utf8.DecodeRuneInString(rest)
	switch {
	case n.isUUID():
		n.mark()
		n.at += lenUUID
	case inWord(r):
		end := strings.IndexFunc(rest, func(r rune) bool { return !inWord(r) })
		if end < 0 {
			end = len(rest)
		}
		n.word(rest[:end])
		n.at += end
	case unicode.IsSpace(r) || r != utf8.RuneError && !unicode.IsPrint(r):
		if len(n.out) > 0 && n.out[len(n.out)-1] != ' ' {
			n.out = append(n.out, ' ')
		}
		n.inURL, n.at = false, n.at+size
	case r == '?' && n.inURL:
		end := strings.IndexFunc(rest, func(r rune) bool {
			return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune("\"'`<>", r)
		})
		if end < 0 {
			end = len(rest)
		}
		n.out = append(n.out, '?')
		n.mark()
		n.at += end
	default:
		if end := n.quoted(r, size); end > 0 {
			n.mark()
			n.inURL, n.at = false, n.at+end
			return
		}
		n.inURL = n.inURL && !strings.ContainsRune("\"'`<>", r) || strings.HasPrefix(rest, "://")
		n.out = utf8.AppendRune(n.out, r)
		n.at += size
	}
}

// mark writes a placeholder, one for several that only a separator parts.
func (n *normaliser) mark() {
	switch last := len(n.out) - 1; {
	case last >= 0 && n.out[last] == anything:
	case last >= 1 && n.out[last-1] == anything && strings.IndexByte(".,:-_+", n.out[last]) >= 0:
		n.out = n.out[:last]
	default:
		n.out = append(n.out, anything)
	}
}

// quoted returns the length of the quoted text that the rune begins, 0 for none. A double quote
// that was cut off ends with the text; an apostrophe within a word begins nothing.
func (n *normaliser) quoted(r rune, size int) int {
	rest := n.in[n.at+size:]
	switch r {
	case '"':
		for i := 0; i < len(rest); i++ {
			switch rest[i] {
			case '\\':
				i++
			case '"':
				return size + i + 1
			}
		}
		return size + len(rest)
	case '`', '“':
		end := map[rune]string{'`': "`", '“': "”"}[r]
		if i := strings.Index(rest, end); i >= 0 {
			return size + i + len(end)
		}
	case '\'':
		if before, _ := utf8.DecodeLastRuneInString(n.in[:n.at]); n.at > 0 && inWord(before) {
			return 0
		}
		for i := range len(rest) {
			if after, _ := utf8.DecodeRuneInString(rest[i+1:]); rest[i] == '\'' && (i+1 == len(rest) || !inWord(after)) {
				return size + i + 1
			}
		}
	}
	return 0
}

const (
	// maxPlain is the length from which on a word with a digit is an id, minHex that from
	// which on hexadecimal digits are one. Up to maxUnit letters are the unit of a number: one
	// timeout is of 800ms, the next one of 1.2s.
	maxPlain, minHex, maxUnit = 16, 8, 2
	lenUUID                   = 36
)

// word writes a run of letters and digits: as it is without a digit, with its letters when they
// have digits on one side alone, as in "x509", else a placeholder alone.
func (n *normaliser) word(word string) {
	digits, hex, runs, length := false, true, 0, 0
	was := false
	for _, r := range word {
		is := isDigit(r)
		if length == 0 || is != was {
			runs++
		}
		was = is
		digits = digits || is
		hex = hex && r < utf8.RuneSelf && isHex(byte(r))
		length++
	}
	switch {
	case hex && length >= minHex, digits && (runs > 2 || length >= maxPlain), strings.HasPrefix(word, "0x") && digits:
		n.mark()
	case !digits:
		n.out = append(n.out, word...)
	case was: // the digits are last
		n.out = append(n.out, strings.TrimRightFunc(word, isDigit)...)
		n.mark()
	default:
		n.mark()
		if letters := strings.TrimLeftFunc(word, isDigit); utf8.RuneCountInString(letters) > maxUnit {
			n.out = append(n.out, letters...)
		}
	}
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// isUUID reports whether a UUID begins here.
func (n *normaliser) isUUID() bool {
	rest := n.in[n.at:]
	if len(rest) < lenUUID {
		return false
	}
	for i := range lenUUID {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (rest[i] == '-') || !dash && !isHex(rest[i]) {
			return false
		}
	}
	return true
}
