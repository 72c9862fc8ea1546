package archive

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// browserParser reads addresses by the URL standard (https://url.spec.whatwg.org/), as browsers
// and the HTTP libraries of most languages do. net/url refuses many addresses that are in use,
// such as https://h/100%.png.
var browserParser = whatwg.NewParser()

var (
	errUnreadable = errors.New("its address cannot be read")
	errNoHost     = errors.New("its address has no host")
)

// authority is how an address with a host begins. Browsers take more than two slashes for two,
// but nobody who writes that means a host.
var authority = regexp.MustCompile(`^[\x00-\x20]*(?i:https?):[/\\]{2}[^/\\?#]`)

// readAddress parses the address of an output. Whatever its spelling, the result holds the
// scheme, host and port that are judged, dialled and sent, and no fragment or credentials. The
// error repeats nothing of the address, because queries carry signatures.
func readAddress(text string) (*url.URL, error) {
	if !authority.MatchString(strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(text)) {
		return nil, errNoHost
	}
	w, err := browserParser.Parse(text)
	if err != nil {
		return nil, errUnreadable
	}
	return transportURL(w), nil
}

// resolve parses the target of a redirect that base answered.
func resolve(base *url.URL, location string) (*url.URL, error) {
	w, err := browserParser.ParseRef(href(base), escapeInvalid(location))
	if err != nil {
		return nil, errLocation
	}
	return transportURL(w), nil
}

// href is the text of an address from readAddress or resolve.
func href(u *url.URL) string {
	uri := u.RequestURI()
	if strings.HasPrefix(uri, "/") {
		return u.Scheme + "://" + u.Host + uri
	}
	return uri
}

// withoutQuery is the address without its query, which can hold credentials. It is "" for an
// address that cannot be used.
func withoutQuery(address string) string {
	if len(address) > maxURL {
		return ""
	}
	u, err := readAddress(address)
	if err != nil {
		return ""
	}
	plain, _, _ := strings.Cut(href(u), "?")
	return plain
}

// escapeInvalid escapes bytes that are not UTF-8. Some servers redirect to names in Latin-1.
func escapeInvalid(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, "%%%02X", s[0])
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// transportURL is the address as the transport takes it. The request line is byte for byte that
// of a browser, also where net/url would write another one.
func transportURL(w *whatwg.Url) *url.URL {
	path := w.Pathname()
	u := &url.URL{
		Scheme: w.Scheme(), Host: w.Host(), Path: path, RawPath: path,
		RawQuery: w.Query(), ForceQuery: strings.HasSuffix(w.Href(true), "?"),
	}
	if plain, err := url.PathUnescape(path); err == nil {
		u.Path = plain
	}
	if u.EscapedPath() == path {
		return u
	}
	u.Opaque = path
	if strings.HasPrefix(path, "//") { // the transport would take it for a host
		u.Opaque = "//" + u.Host + path
	}
	return u
}

// canonicalHost is the host as readAddress writes it: lower case, names of other scripts in
// their ASCII form, IPv4 in dotted decimals.
func canonicalHost(host string) (string, error) {
	if strings.Count(host, ":") > 1 {
		host = "[" + host + "]"
	}
	u, err := readAddress("https://" + host + "/")
	if err != nil {
		return "", err
	}
	return u.Hostname(), nil
}
