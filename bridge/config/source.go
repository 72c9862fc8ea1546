package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// Source is one sender of webhooks.
type Source struct {
	// Kind says how the sender signs, writes and repeats its webhooks. Default get3w.
	Kind string `yaml:"kind"`
	// Signature changes how the kind proves a webhook. Of kind hmac its header is required.
	Signature Signature `yaml:"signature"`
	// Body changes where the kind's webhooks have what an event is made of.
	Body Body `yaml:"body"`
	// OutputLife is for how long the provider keeps outputs. Default that of the kind.
	OutputLife Duration `yaml:"output_life"`
	// RetrySpan is for how long the sender repeats a webhook that is not accepted. Default that
	// of the kind.
	RetrySpan Duration `yaml:"retry_span"`
	// KeysURL is where the sender's public keys are, of kind fal: https, or http to an address of
	// this machine. Default that of the kind.
	KeysURL string `yaml:"keys_url"`
	// Secrets are the places of the secrets that the sender signs with: a delivery that any
	// of them signed is authentic. Without one every delivery is answered 401.
	Secrets []SecretRef `yaml:"secrets"`
	// RetiredSecrets are the places of secrets that are no longer accepted. They explain
	// why a delivery was refused, and accept none.
	RetiredSecrets []SecretRef `yaml:"retired_secrets"`
	// MaxAge is how long after its completion a terminal delivery is accepted; an older
	// one may be a captured request that is sent again, and is quarantined. Default 1h. With
	// the sender's retries it must fit into the time for which duplicates are known, which
	// for Get3W means at most 1h56m20s. Of senders that sign the time the default is no limit.
	MaxAge Duration `yaml:"max_age"`
	// PathToken is the place of a second secret, which is the last part of the URL then. It
	// may have letters, digits and -._~. Default none.
	PathToken SecretRef `yaml:"path_token"`
	// Query are up to 8 names of URL parameters that travel with the event. The signature
	// does not cover them. Default none.
	Query []string `yaml:"query"`
	// API is where the provider is asked for predictions whose webhook does not come, and
	// where predictions are submitted. Without a key neither is done.
	API API `yaml:"api"`
}

// API is the interface of a provider. Without a key nothing is asked.
type API struct {
	// BaseURL is the address of the API: https, or http to an address of this machine.
	// Default that of the source's kind.
	BaseURL string `yaml:"base_url"`
	// Key is the place of the key, which travels with every request.
	Key SecretRef `yaml:"key"`
	// Result is the path and query of one prediction behind the address, in which {id} stands for
	// its id, {model} for its model and {app} for the first two parts of that. Default that of
	// the kind.
	Result string `yaml:"result"`
	// Headers are sent with each question, instead of those of the kind; {key} stands for the
	// key.
	Headers map[string]string `yaml:"headers"`
	// Answer changes where the answers have what an event is made of.
	Answer Body `yaml:"answer"`
	// Rate is how often all processes together ask for results, at most. Default 5/s, at
	// most 1000/s.
	Rate Rate `yaml:"rate"`
	// PollAfter is for how long a prediction is left to its webhook at least, counted from
	// when its end is expected. Default as long as the sender goes on, at most 24h.
	PollAfter Duration `yaml:"poll_after"`
}

// Signature is how a sender signs: a keyed hash in a header, or of kind shared-secret the secret
// itself.
type Signature struct {
	// Header has the signature.
	Header string `yaml:"header"`
	// IDHeader has the id of the message, if the sender signs one.
	IDHeader string `yaml:"id_header"`
	// TimeHeader has the seconds since 1970, if the sender signs them.
	TimeHeader string `yaml:"time_header"`
	// Signed is what is signed: {body}, {id}, {time} and JSON pointers into the body such as
	// {/data/id} stand for theirs. Default {body}.
	Signed string `yaml:"signed"`
	// Algorithm is sha256, the default, sha512 or sha1.
	Algorithm string `yaml:"algorithm"`
	// Encoding is hex, the default, or base64.
	Encoding string `yaml:"encoding"`
	// Prefix stands before each signature, such as sha256=.
	Prefix string `yaml:"prefix"`
	// Separator stands between several signatures, one of which suffices. Default: there is one.
	Separator string `yaml:"separator"`
	// TimePrefix marks the part of the header that is the time, such as t=.
	TimePrefix string `yaml:"time_prefix"`
	// Key says how the secret becomes the key: text, the default, takes it as it is; base64
	// decodes what follows whsec_; unprefixed is the text that follows whsec_.
	Key string `yaml:"key"`
	// Tolerance is by how much the signed time and that of the receipt may differ. Default 5m.
	Tolerance Duration `yaml:"tolerance"`
}

// Body says where a JSON body has what an event is made of. Each key is one JSON pointer (RFC
// 6901) or several, the first of which that leads to something counts; # is the whole body.
type Body struct {
	// ID is where the id of the prediction is.
	ID Strings `yaml:"id"`
	// Model is where its model is.
	Model Strings `yaml:"model"`
	// Status is where its status is.
	Status Strings `yaml:"status"`
	// Outputs is where its outputs are: every address in there, else the value itself.
	Outputs Strings `yaml:"outputs"`
	// Error is where the message about its failure is.
	Error Strings `yaml:"error"`
	// CreatedAt is where the time of its beginning is: RFC 3339, or seconds or milliseconds
	// since 1970.
	CreatedAt Strings `yaml:"created_at"`
	// CompletedAt is where the time of its end is, written as CreatedAt.
	CompletedAt Strings `yaml:"completed_at"`
	// Statuses are what the sender's words mean: created, processing, completed, failed or
	// canceled. "*" is for all other words.
	Statuses map[string]string `yaml:"statuses"`
}

const (
	defaultSource     = "get3w"
	defaultSourceKind = "get3w"

	// A signature without a time never expires, so an older delivery counts as a captured
	// request that is sent again.
	defaultMaxAge = Duration(time.Hour)

	defaultPollRate = Rate(5)
	maxPollRate     = 1000
	maxPollAfter    = Duration(24 * time.Hour)
)

func defaultSources() map[string]Source {
	return map[string]Source{defaultSource: {Secrets: []SecretRef{"env:GET3W_WEBHOOK_SECRET"}}}
}

func (s *Source) fill() {
	s.Kind = cmp.Or(s.Kind, defaultSourceKind)
	kind, err := s.Sender()
	if err != nil {
		return
	}
	if !kind.SignsTime() {
		s.MaxAge = cmp.Or(s.MaxAge, defaultMaxAge)
	}
	if s.API.Key != "" {
		s.API.BaseURL = cmp.Or(s.API.BaseURL, kind.API.BaseURL)
		s.API.Rate = cmp.Or(s.API.Rate, defaultPollRate)
		s.API.PollAfter = cmp.Or(s.API.PollAfter, Duration(min(kind.RetrySpan, time.Duration(maxPollAfter))))
	}
}

// Sender returns the kind of the source with what the configuration changes. The error names the
// key.
func (s Source) Sender() (*source.Kind, error) { return source.Customize(s.Kind, s.Options()) }

// Options are what the configuration changes of the kind.
func (s Source) Options() source.Options {
	g := s.Signature
	return source.Options{
		Signature: source.HMAC{
			Header: g.Header, IDHeader: g.IDHeader, TimeHeader: g.TimeHeader, Signed: g.Signed, Algorithm: g.Algorithm, Encoding: g.Encoding,
			Prefix: g.Prefix, Separator: g.Separator, TimePrefix: g.TimePrefix, Key: g.Key, Tolerance: time.Duration(g.Tolerance),
		},
		Body: s.Body.fields(), Answer: s.API.Answer.fields(),
		Result: s.API.Result, Header: s.API.Headers, KeysURL: s.KeysURL,
		OutputLife: time.Duration(s.OutputLife), RetrySpan: time.Duration(s.RetrySpan),
	}
}

func (b Body) fields() source.Body {
	return source.Body{
		ID: b.ID, Model: b.Model, Status: b.Status, Outputs: b.Outputs, Error: b.Error, CreatedAt: b.CreatedAt, CompletedAt: b.CompletedAt, Statuses: b.Statuses,
	}
}

func (s Source) check(c *Config, name string, found *Checker) {
	key := "sources." + name
	found.Check(key, bridge.CheckName("source", name))
	if _, err := source.KindOf(s.Kind); err != nil {
		found.Fail(key+".kind", "%v", err)
		return
	}
	s.Signature.check(key+".signature", found)
	s.Body.check(key+".body", found)
	s.API.Answer.check(key+".api.answer", found)
	kind, err := s.Sender()
	if err != nil {
		found.Fail(key, "%v", err)
		return
	}
	s.checkProof(kind, key, found)
	// Within the window a repeated delivery is a known duplicate; after it the delivery must be
	// stale, unless its signature says when it was made.
	if limit := c.Duplicates() - kind.RetrySpan; !kind.SignsTime() && (s.MaxAge <= 0 || s.MaxAge > Duration(limit)) {
		found.Fail(key+".max_age", "it is %v: use more than zero and at most %v", s.MaxAge, limit.Truncate(time.Second))
	}
	if s.MaxAge < 0 || s.OutputLife < 0 || s.RetrySpan < 0 || s.RetrySpan > maxRetrySpan {
		found.Fail(key, "max_age, output_life and retry_span cannot be negative, and retry_span is at most %v", maxRetrySpan)
	}
	if s.KeysURL != "" && !isSafe(s.KeysURL) {
		found.Fail(key+".keys_url", "use the address of a document on https, or on http of this machine: who answers there says who the sender is")
	}
	s.API.check(key+".api", kind, found)
	if len(s.Query) > bridge.MaxQueryKeys {
		found.Fail(key+".query", "it has %d names: use at most %d", len(s.Query), bridge.MaxQueryKeys)
	}
	for _, q := range s.Query {
		found.Check(key+".query", bridge.CheckName("query parameter", q))
	}
}

// checkProof finds what nothing could prove, or what proves nothing.
func (s Source) checkProof(kind *source.Kind, key string, found *Checker) {
	switch {
	case (kind.NoWebhook || kind.Confirm == source.ConfirmAlways) && s.API.Key == "":
		found.Fail(key+".api.key", "the provider of kind %s has to be asked: write key: env:NAME or file:PATH", s.Kind)
	case kind.Proof == nil && kind.Confirm == source.ConfirmNever && !kind.NoWebhook && s.PathToken == "":
		found.Fail(key+".path_token", "nothing in a webhook of kind %s proves who sent it: give the URL a secret with path_token: env:NAME or file:PATH", s.Kind)
	}
	if !kind.NeedsSecret() && len(s.Secrets) > 0 {
		found.Fail(key+".secrets", "no secret proves a webhook of kind %s: remove them", s.Kind)
	}
	if kind.NoWebhook && (s.PathToken != "" || len(s.Query) > 0) {
		found.Fail(key, "the provider of kind %s sends no webhooks: remove path_token and query", s.Kind)
	}
}

func (g Signature) check(key string, found *Checker) {
	for _, choice := range []struct {
		name, value string
		of          []string
	}{
		{"algorithm", g.Algorithm, source.Algorithms}, {"encoding", g.Encoding, source.Encodings}, {"key", g.Key, source.Keys},
	} {
		if choice.value != "" && !slices.Contains(choice.of, choice.value) {
			found.Fail(key+"."+choice.name, "%q is none: use %s", choice.value, strings.Join(choice.of, ", "))
		}
	}
	for _, header := range []string{g.Header, g.IDHeader, g.TimeHeader} {
		if header != "" && !headerName.MatchString(header) {
			found.Fail(key, "%q is not the name of a header", header)
		}
	}
	if g.Tolerance < 0 || g.Tolerance > maxTolerance {
		found.Fail(key+".tolerance", "it is %v: use at most %v", g.Tolerance, maxTolerance)
	}
}

const (
	maxTolerance = Duration(time.Hour)
	maxRetrySpan = Duration(7 * 24 * time.Hour)
	maxPointers  = 8
	maxWords     = 64
)

// headerName is a token of RFC 9110.
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")

func (b Body) check(key string, found *Checker) {
	for _, list := range []struct {
		name     string
		pointers Strings
	}{
		{"id", b.ID}, {"model", b.Model}, {"status", b.Status}, {"outputs", b.Outputs}, {"error", b.Error}, {"created_at", b.CreatedAt}, {"completed_at", b.CompletedAt},
	} {
		if len(list.pointers) > maxPointers {
			found.Fail(key+"."+list.name, "it has %d pointers: use at most %d", len(list.pointers), maxPointers)
		}
		for _, pointer := range list.pointers {
			if pointer != bridge.WholeBody && (!strings.HasPrefix(pointer, "/") || len(pointer) > bridge.MaxPredictionID) {
				found.Fail(key+"."+list.name, "%q is not a JSON pointer such as /data/id", pointer)
			}
		}
	}
	if len(b.Statuses) > maxWords {
		found.Fail(key+".statuses", "it has %d words: use at most %d", len(b.Statuses), maxWords)
	}
	for word, status := range b.Statuses {
		if !slices.Contains(statuses, status) {
			found.Fail(key+".statuses", "%q means %q: use one of %s", word, status, strings.Join(statuses, ", "))
		}
	}
}

var statuses = []string{bridge.StatusCreated, bridge.StatusProcessing, bridge.StatusCompleted, bridge.StatusFailed, bridge.StatusCanceled}

// check lets the key travel without TLS only to this machine.
func (a API) check(key string, kind *source.Kind, found *Checker) {
	if reflect.ValueOf(a).IsZero() {
		return
	}
	if a.Key == "" {
		found.Fail(key, "it has no key, and without one the provider is not asked: write key: env:NAME or file:PATH")
		return
	}
	u, err := url.Parse(a.BaseURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/"):
		found.Fail(key+".base_url", "write an address such as https://api.get3w.com/api/v3, without credentials, query and slash at the end")
	case !isSafe(a.BaseURL):
		found.Fail(key+".base_url", "use https, or http to an address of this machine: the key travels with every question")
	}
	if len(kind.API.Result) == 0 {
		found.Fail(key+".result", "nothing is known of how to ask this provider: say behind which path a prediction is, such as /predictions/{id}, or remove api")
	}
	if a.Result != "" && (!strings.HasPrefix(a.Result, "/") || !strings.Contains(a.Result, "{id}")) {
		found.Fail(key+".result", "write a path in which {id} stands for the id, such as /predictions/{id}")
	}
	for name, value := range a.Headers {
		if !headerName.MatchString(name) || strings.ContainsFunc(value, unicode.IsControl) {
			found.Fail(key+".headers", "%q and its value are not a header", name)
		}
	}
	if a.Rate > maxPollRate {
		found.Fail(key+".rate", "it is more than %d/s: use less", maxPollRate)
	}
	if a.PollAfter < 0 || a.PollAfter > maxPollAfter {
		found.Fail(key+".poll_after", "it is %v: use at most %v", a.PollAfter, maxPollAfter)
	}
}

// isSafe reports whether nobody on the way can answer for an address: it is https, or http to this
// machine.
func isSafe(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && IsLoopback(u.Hostname()))
}

// IsLoopback reports whether a host, without port, is this machine.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// unreserved are the characters that RFC 3986 section 2.3 allows in a URL unescaped.
var unreserved = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)

// ReadPathToken looks up the path token of the source with the name, nil when it has none. The
// error names the key.
func (s Source) ReadPathToken(name string, getenv func(string) (string, bool)) ([]byte, error) {
	if s.PathToken == "" {
		return nil, nil
	}
	token, err := s.PathToken.Require(getenv)
	if err == nil && !unreserved.Match(token) {
		err = errors.New("it must be of letters, digits and - . _ ~, which mean the same in every URL")
	}
	if err != nil {
		return nil, fmt.Errorf("sources.%s.path_token: %w", name, err)
	}
	return token, nil
}

// OutputLife returns how long the provider of the named source keeps outputs, 0 when that is
// unknown.
func (c *Config) OutputLife(name string) time.Duration {
	kind, err := c.Sources[name].Sender()
	if err != nil {
		return 0
	}
	return kind.OutputLife
}

// OutputDelay returns how long outputs of the named source may come late.
func (c *Config) OutputDelay(name string) time.Duration {
	kind, err := c.Sources[name].Sender()
	if err != nil {
		return source.DefaultOutputDelay
	}
	return kind.OutputDelay
}
