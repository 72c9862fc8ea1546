package simulate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

const (
	maxShares = 100
	maxWeight = 1_000_000
	maxName   = 4 << 10
)

// Share is one thing of a mix.
type Share struct {
	Name   string
	Weight int
}

// Mix are things that are taken at random, by weight.
type Mix []Share

// UnmarshalText reads names with their weights, such as completed=8,failed=1. A name without a
// weight has 1.
func (m *Mix) UnmarshalText(text []byte) error {
	*m = nil
	for part := range strings.SplitSeq(string(text), ",") {
		s := Share{Name: part, Weight: 1}
		if at := strings.LastIndexByte(part, '='); at >= 0 {
			weight, err := strconv.Atoi(part[at+1:])
			if err != nil || weight < 1 || weight > maxWeight {
				return fmt.Errorf("%.80q: the weight is a number of 1 to %d", part, maxWeight)
			}
			s = Share{Name: part[:at], Weight: weight}
		}
		if s.Name == "" || len(s.Name) > maxName {
			return errors.New("write names with their weights, such as one=8,other=2")
		}
		*m = append(*m, s)
	}
	if len(*m) > maxShares {
		return fmt.Errorf("it has %d names: use at most %d", len(*m), maxShares)
	}
	return nil
}

func (m Mix) pick(r *rand.Rand) string {
	sum := 0
	for _, s := range m {
		sum += s.Weight
	}
	at := r.IntN(sum)
	for _, s := range m {
		if at -= s.Weight; at < 0 {
			return s.Name
		}
	}
	panic("unreachable")
}

// Range is a number of bytes that is taken at random, small ones as often as large ones.
type Range struct{ Least, Most int }

// UnmarshalText reads a size, or two with a dash between, such as 1KiB-64KiB.
func (r *Range) UnmarshalText(text []byte) error {
	least, most, two := strings.Cut(string(text), "-")
	if !two {
		most = least
	}
	for _, part := range []struct {
		text string
		into *int
	}{{least, &r.Least}, {most, &r.Most}} {
		n, err := humanize.ParseBytes(part.text)
		if err != nil || n > maxBody {
			return errors.New("write a size such as 2KiB, or two such as 1KiB-64KiB, of at most 64MiB")
		}
		*part.into = int(n) //nolint:gosec // it is small
	}
	if r.Least > r.Most {
		return errors.New("the first size is the smaller one")
	}
	return nil
}

func (r Range) pick(random *rand.Rand) int {
	least := max(r.Least, 1)
	octaves := 0
	for least<<octaves < r.Most {
		octaves++
	}
	if octaves == 0 {
		return r.Most
	}
	from := least << random.IntN(octaves)
	return from + random.IntN(min(2*from, r.Most)-from+1)
}
