package journal

import (
	"encoding/binary"
	"math/bits"
)

func headerLen(header map[string][]string) int {
	n := 0
	for key, values := range header {
		n += stringLen(key) + uvarintLen(len(values))
		for _, value := range values {
			n += stringLen(value)
		}
	}
	return n
}

func stringLen(s string) int { return uvarintLen(len(s)) + len(s) }

// uvarintLen is 7 bits a byte, and one byte for 0.
func uvarintLen(n int) int { return (bits.Len64(uint64(n)|1) + 6) / 7 }

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeHeader reads all of b. Without entries it returns nil.
func decodeHeader(b []byte) (map[string][]string, bool) {
	if len(b) == 0 {
		return nil, true
	}
	// One string for all: a header has a dozen short ones, which live as long as the record.
	text, header := string(b), make(map[string][]string, 16)
	all := make([]string, 0, 16)
	for len(b) > 0 {
		key, ok := cutString(&b, text)
		count, n := binary.Uvarint(b)
		// Each value has at least its length's byte.
		if !ok || n <= 0 || count > uint64(len(b)-n) {
			return nil, false
		}
		b = b[n:]
		from := len(all)
		for range count {
			value, ok := cutString(&b, text)
			if !ok {
				return nil, false
			}
			all = append(all, value)
		}
		header[key] = all[from:len(all):len(all)]
	}
	return header, true
}

// cutString takes the string that begins b, the rest of text.
func cutString(b *[]byte, text string) (string, bool) {
	size, n := binary.Uvarint(*b)
	if n <= 0 || size > uint64(len(*b)-n) {
		return "", false
	}
	start := len(text) - len(*b) + n
	*b = (*b)[n+int(size):]
	return text[start : start+int(size)], true
}
