package sending

import (
	"math/rand/v2"
	"strings"
)

// letters are what prompts are made of; the second set has what is hard to carry: quotes,
// escapes, other scripts, joined and combined characters, separators.
var (
	letters = []rune("abcdefghijklmnopqrstuvwxyz      ,.")
	unicode = []rune("aé ß漢字かな한글עברית العربية🌊👩‍🚀\u0301\u2028\u2029\u200f\u0000\u001f\t\n\r\\\"/<>&'%\x7f\ufffd\U0010ffff")
)

// Text returns a prompt of at least size bytes, which is the same for the same r. Hard to carry
// are quotes, escapes, and other scripts.
func Text(r *rand.Rand, size int, hard bool) string {
	set := letters
	if hard {
		set = unicode
	}
	var text strings.Builder
	for text.Len() < size {
		text.WriteRune(set[r.IntN(len(set))])
	}
	return text.String()
}
