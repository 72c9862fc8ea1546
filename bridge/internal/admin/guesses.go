package admin

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/internal/clientaddr"
)

const (
	// guessEvery is how often one address, or one /64 of IPv6, may send a wrong token, and
	// guessesAtOnce how many at once.
	guessEvery    = 2 * time.Second
	guessesAtOnce = 10
	// maxGuessers bounds the addresses that are remembered.
	maxGuessers = 4096
	// maxProven bounds the tokens that are remembered of an address.
	maxProven = 64
)

// guesses bounds how many tokens can be tried. Its zero value is not usable.
type guesses struct {
	mu sync.Mutex
	of *simplelru.LRU[netip.Prefix, *guesser]
}

// guesser is one address.
type guesser struct {
	left *rate.Limiter
	// proven are the digests of tokens that were right: behind a proxy many share an address,
	// and those who guess must not lock the others out.
	proven map[[sha256.Size]byte]bool
}

func newGuesses() *guesses {
	of, err := simplelru.NewLRU[netip.Prefix, *guesser](maxGuessers, nil)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &guesses{of: of}
}

// allow returns zero when a token of that digest may be answered, and otherwise how long its
// address has to wait. Right says whether there is such a token.
func (g *guesses) allow(remote string, digest [sha256.Size]byte, right bool, now time.Time) time.Duration {
	from := clientaddr.Network(clientaddr.Parse(remote))
	g.mu.Lock()
	defer g.mu.Unlock()
	who, known := g.of.Get(from)
	if !known {
		who = &guesser{left: rate.NewLimiter(rate.Every(guessEvery), guessesAtOnce), proven: map[[sha256.Size]byte]bool{}}
		g.of.Add(from, who)
	}
	missing := 1 - who.left.TokensAt(now)
	switch {
	case right && who.proven[digest]:
	case missing > 0:
		return time.Duration(missing * float64(guessEvery))
	case !right:
		who.left.AllowN(now, 1)
	default:
		if len(who.proven) >= maxProven {
			clear(who.proven)
		}
		who.proven[digest] = true
	}
	return 0
}
