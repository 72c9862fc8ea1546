package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// Token lets its holder call the API. Make one with [NewToken].
type Token struct {
	name   string
	scopes []string
	digest [sha256.Size]byte // the secret itself is not kept
	// revoked ends when the token is none any more.
	revoked context.Context
	revoke  context.CancelFunc
}

// NewToken returns a token. Name is who the audit names; scopes are those of package adminapi.
func NewToken(name string, scopes []string, secret []byte) Token {
	return Token{name: name, scopes: scopes, digest: sha256.Sum256(secret)}
}

func (t Token) equal(o Token) bool {
	return t.name == o.name && t.digest == o.digest && slices.Equal(t.scopes, o.scopes)
}

// errRevoked is the cause of a waiting request's context when its token is none any more.
var errRevoked = errors.New("the token was removed")

// SetTokens replaces the tokens, also while the server runs; nil means that none are
// configured. From the first call with another list on, also an empty one, the API needs a
// token, until the process ends: a file that was emptied opens nothing. Requests that wait
// with a token that is gone end. Calls must not overlap.
func (s *Server) SetTokens(tokens []Token) {
	before := s.tokens.Load()
	if tokens == nil && before == nil {
		return
	}
	now := make([]Token, len(tokens))
	kept := func(o Token) bool { return slices.ContainsFunc(now, o.equal) }
	for i, t := range tokens {
		t.revoked, t.revoke = context.WithCancel(context.Background())
		if before != nil {
			if at := slices.IndexFunc(*before, t.equal); at >= 0 {
				t = (*before)[at]
			}
		}
		now[i] = t
	}
	s.tokens.Store(&now)
	if before == nil {
		return
	}
	for _, old := range *before {
		if !kept(old) {
			old.revoke()
		}
	}
}

// caller is who makes a request.
type caller struct {
	name   string
	scopes []string
	// revoked ends when the caller may call no more; nil is never.
	revoked context.Context
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	who, _ := ctx.Value(callerKey{}).(caller)
	return who
}

func (c caller) may(scope string) bool { return slices.Contains(c.scopes, scope) }

var (
	errNoTokens = echo.NewHTTPError(http.StatusForbidden,
		"The API needs tokens on this address: name some in admin.tokens, or set admin.listen to a loopback address, such as 127.0.0.1:8081.")
	// errToken is one answer for every token that is none: nobody learns in what it differs.
	errToken = echo.NewHTTPError(http.StatusUnauthorized, "Send one header Authorization: Bearer, with a token of admin.tokens; hookspan takes its place by --token, or the token by HOOKSPAN_TOKEN.")
	errMany  = echo.NewHTTPError(http.StatusTooManyRequests, "Too many wrong tokens came from this address: try again later.")
)

// identify returns who makes the request. A token is compared with every one there is, by its
// digest, so that the time tells nothing of them.
func (s *Server) identify(c echo.Context) (caller, error) {
	tokens := s.tokens.Load()
	switch {
	case tokens == nil && s.loopback:
		return caller{name: adminapi.Loopback, scopes: adminapi.Scopes()}, nil
	case tokens == nil:
		return caller{}, s.refuse(refusedNoTokens, errNoTokens)
	}
	secret, given := bearer(c.Request().Header)
	digest := sha256.Sum256([]byte(secret))
	var found *Token
	for i := range *tokens {
		if t := &(*tokens)[i]; subtle.ConstantTimeCompare(t.digest[:], digest[:]) == 1 {
			found = t
		}
	}
	if given {
		if wait := s.guesses.allow(c.Request().RemoteAddr, digest, found != nil, time.Now()); wait > 0 {
			c.Response().Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			return caller{}, s.refuse(refusedLimited, errMany)
		}
	}
	if found == nil {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, "Bearer")
		return caller{}, s.refuse(refusedToken, errToken)
	}
	return caller{name: found.name, scopes: found.scopes, revoked: found.revoked}, nil
}

// bearer returns the token of a request, and whether any was given. Of several headers, and of
// one that is longer than a token, none counts: what stands before the bridge may have read
// another one.
func bearer(h http.Header) (secret string, given bool) {
	values := h.Values(echo.HeaderAuthorization)
	if len(values) != 1 {
		return "", len(values) > 1
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || len(secret) > adminapi.MaxToken {
		return "", true
	}
	return secret, true
}
